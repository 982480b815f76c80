"""Checks of volumes: what a keeper and a runner keep in them, and how they are mounted."""

from __future__ import annotations

import io
import secrets
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from harness.engines import Engine
from harness.engines.spec import HostFolder, Mount, Overlay, PartOfVolume, WholeVolume
from harness.inside.errors import HarnessError
from harness.inside.layout import Avatar
from harness.runners import parse_variant
from harness.runners.base import BaseRunner
from harness.verify.conformance.checking import CHECK_SECONDS, must
from harness.verify.proofs import Refuted, Untried
from harness.verify.proofs.shared.subject import complete

_MOUNTING: Mapping[type[Mount], str] = {
    HostFolder: "katas-volume",
    WholeVolume: "katas-data-container:granularity=avatar",
    PartOfVolume: "katas-subpath",
    Overlay: "katas-overlay",
}
"""A built-in runner for each kind of mount."""


@contextmanager
def volume_on(engine: Engine, *, temporary: bool = True, katas: str = "") -> Iterator[str]:
    name = f"harness-conformance-{secrets.token_hex(6)}"
    engine.create_volume(name, temporary=temporary, katas=katas)
    try:
        yield name
    finally:
        engine.remove_volume(name)


def keeps_volumes(engine: Engine) -> None:
    """A volume is listed as it was made, stays as it is when it is made again, and can go."""

    def listed(name: str) -> list[tuple[bool, str]]:
        return [(each.temporary, each.katas) for each in engine.volumes() if each.name == name]

    with volume_on(engine, temporary=False, katas="all") as name:
        must(listed(name) == [(False, "all")], f"a volume of katas is listed as {listed(name)}")
        engine.create_volume(name, temporary=True)
        must(listed(name) == [(False, "all")], "a volume that is made twice is another one")
    must(not listed(name), "a volume that was removed is listed")
    engine.remove_volume(name)
    with volume_on(engine) as name:
        must(listed(name) == [(True, "")], f"a temporary volume is listed as {listed(name)}")


_WRITES = """
import os, sys
path = os.path.join(sys.argv[1], "written")
before = os.path.exists(path)
open(path, "a").close()
print(before, sys.stdin.buffer.read().decode(), end="")
"""


def starts_keepers(engine: Engine) -> None:
    """A keeper runs the program that it gets in its volume, and hears and says what is sent."""
    program = io.BytesIO()
    with zipfile.ZipFile(program, "w") as archive:
        archive.writestr("__main__.py", _WRITES)
    with volume_on(engine) as name:
        for number, wanted in enumerate((b"False 0", b"True 1")):
            said, deadline = b"", time.monotonic() + CHECK_SECONDS * 2
            with closing(engine.open_keeper(name, program.getvalue())) as keeper:
                keeper.write(b"%d" % number, deadline)
                keeper.close_write()
                while (piece := keeper.read(deadline)) != (0, b""):
                    said += piece[1]
            must(said == wanted, f"keeper {number} said {said!r}, not {wanted!r}")


@contextmanager
def _runner(engine: Engine, name: str) -> Iterator[BaseRunner]:
    try:
        runner = parse_variant(name).open(engine)
    except HarnessError as error:
        raise Refuted(f"{name} cannot be opened: {error}") from error
    with closing(runner):
        yield runner


_MAKES = "#!/bin/sh\ncat made 2>&1; echo {number} >made; find . -name visible\n"


def _plays_twice(runner: BaseRunner) -> None:
    """Play two test events; the second finds what the first one made."""
    avatar = Avatar()
    for number, wanted in ((1, ""), (2, "1\n")):
        files: dict[str, str | bytes] = {
            "cyber-dojo.sh": _MAKES.format(number=number),
            "visible": "",
        }
        run = complete(runner, avatar, files)
        must(run.tag == number, f"{runner.name}: test event {number} got the tag {run.tag}")
        *found, last = run.stdout.splitlines(keepends=True) or [""]
        must(last == "./visible\n", f"{runner.name}: a run does not see the visible files")
        if number > 1:
            must("".join(found) == wanted, f"{runner.name}: a run does not find what was made")


def keeps_katas(engine: Engine) -> None:
    """A runner that pipes keeps its katas in a volume, from one test event to the next."""
    with _runner(engine, "katas-data-container") as runner:
        _plays_twice(runner)


def makes_mounts(engine: Engine) -> None:
    """Each kind of mount that it does not refuse shows and keeps what a runner keeps in it."""
    possible = [kind for kind in engine.mounts & _MOUNTING.keys() if not engine.refusal(kind)]
    for kind in possible:
        with _runner(engine, _MOUNTING[kind]) as runner:
            _plays_twice(runner)
    if not possible:
        raise Untried("it makes no mount here")
