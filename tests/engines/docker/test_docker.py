"""The Docker engine: what it refuses, what it labels, and that nothing of it is left behind."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engines import Engine, SandboxSpec, Volume
from harness.engines.docker import containers as containers_module
from harness.engines.docker import images
from harness.engines.docker import volumes as volumes_module
from harness.engines.docker.engine import DockerEngine
from harness.engines.owner import OWNER_LABEL, TEMPORARY, Owner
from harness.engines.spec import HostFolder
from harness.inside.errors import EngineError, ImageError, UsageError
from tests.support import PATIENCE, Proxy, eventually, fill, one_line

pytestmark = pytest.mark.parametrize(
    "shared_engine", ["docker", "docker26", "podman"], indirect=True
)

GONE = str(replace(Owner.current(), started=1))
"""An owner that this machine knows to have ended."""

ELSEWHERE = replace(Owner.current(), started=1, namespaces="1-1")
"""One of another pid namespace: a container of the same name, on the same machine."""

EARLIER = replace(Owner.current(), started=1, namespaces="")
"""One that an earlier version of the harness wrote."""


@pytest.fixture
def engine(shared_engine: Engine) -> DockerEngine:
    assert isinstance(shared_engine, DockerEngine)
    return shared_engine


def is_podman(engine: DockerEngine) -> bool:
    return engine.describe()["engine"].startswith("podman")


@pytest.fixture
def volume(engine: DockerEngine) -> Iterator[str]:
    """The name of a volume that a test may make."""
    name = f"harness-test-{secrets.token_hex(6)}"
    yield name
    engine.remove_volume(name)


def container(engine: DockerEngine, labels: dict[str, str], **more: Any) -> str:
    """A container with these labels, made and not started."""
    return str(
        engine.api.create_container(images.RUN_IMAGE, command=["true"], labels=labels, **more)["Id"]
    )


def test_it_describes_itself(engine: DockerEngine) -> None:
    facts = engine.describe()
    assert facts["engine"].startswith(("docker 2", "podman "))
    assert facts["storage driver"]
    assert all(isinstance(value, str) for value in facts.values())


def test_the_default_image_can_be_used(engine: DockerEngine) -> None:
    assert engine.check_image(None) == images.RUN_IMAGE


def test_an_image_that_is_not_there(engine: DockerEngine) -> None:
    """Is an error of one line before the run, and of a run that is tried all the same; nothing is
    left of it.
    """
    with pytest.raises(ImageError, match="harness-test-none") as refused:
        engine.check_image("harness-test-none")
    one_line(refused.value)
    before = set(engine.traces())
    with (
        closing(engine.open(SandboxSpec(image="harness-test-none"))) as sandbox,
        pytest.raises(ImageError, match="harness-test-none") as refused,
    ):
        sandbox.wait()
    one_line(refused.value)
    assert set(engine.traces()) <= before


def test_a_folder_that_the_engine_does_not_see(engine: DockerEngine) -> None:
    """A volume mount names a folder of the machine that the engine is on."""
    if is_podman(engine):
        pytest.skip(
            "Podman makes the folder; `tests/runners/test_mounts.py` has what becomes of that"
        )
    with (
        closing(engine.open(SandboxSpec(mount=HostFolder(Path("/nowhere/katas"))))) as sandbox,
        pytest.raises(
            EngineError, match=r"the run-container cannot be started: .*/nowhere/katas"
        ) as refused,
    ):
        sandbox.wait()
    one_line(refused.value)
    eventually(lambda: not engine.traces(), "the container that could not be started goes")


def test_a_volume_is_made_once_and_told_of(engine: DockerEngine, volume: str) -> None:
    for _ in range(2):
        engine.create_volume(volume, temporary=True)
    assert Volume(volume, temporary=True) in engine.volumes()
    engine.remove_volume(volume)
    assert volume not in [each.name for each in engine.volumes()]
    engine.remove_volume(volume)  # a second time is fine


def test_a_volume_of_somebody_elses_is_refused(engine: DockerEngine, volume: str) -> None:
    engine.api.create_volume(volume, labels={"com.example": "yes"})
    with pytest.raises(UsageError, match="is not the harness's; choose another name"):
        engine.create_volume(volume, temporary=False)
    assert volume not in [each.name for each in engine.volumes()]


def test_a_volume_in_use_is_removed_once_its_keeper_has_gone(
    engine: DockerEngine, volume: str
) -> None:
    """A container goes some time after its last process; nobody has to wait for that by hand."""
    engine.create_volume(volume, temporary=True)
    keeper = engine.open_keeper(volume, b"")
    keeper.kill()
    keeper.close()
    engine.remove_volume(volume)
    assert volume not in [each.name for each in engine.volumes()]


def test_a_volume_that_stays_in_use_is_told(
    engine: DockerEngine, volume: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.create_volume(volume, temporary=True)
    monkeypatch.setattr(volumes_module, "REMOVAL_SECONDS", 0.2)
    with closing(engine.open_keeper(volume, b"import time; time.sleep(1000)")) as keeper:
        with pytest.raises(
            EngineError, match=f"the volume {volume} cannot be removed: .*(in use|being used)"
        ) as refused:
            engine.remove_volume(volume)
        one_line(refused.value)
        keeper.kill()
    monkeypatch.undo()


@pytest.mark.parametrize(
    "label",
    [GONE, str(Owner.current()), str(ELSEWHERE), str(EARLIER), "somebody else's", None],
    ids=["gone", "living", "elsewhere", "earlier", "other", "none"],
)
def test_what_is_swept_is_what_an_owner_that_has_gone_left(
    engine: DockerEngine, volume: str, label: str | None
) -> None:
    """Containers and temporary volumes; nothing of a living owner or of one of whom that cannot be
    told, which is said, nothing that somebody else labelled or nobody did, and no katas that a user
    keeps.
    """
    labels = {} if label is None else {OWNER_LABEL: label}
    owner = Owner.parse(label or "")
    left = container(engine, labels)
    engine.api.create_volume(volume, labels={**labels, TEMPORARY: "yes"})
    kept = f"{volume}-kept"
    engine.api.create_volume(kept, labels=labels)
    expected = {f"container {left[:12]}", f"volume {volume}"} if label == GONE else set()
    try:
        lines = {f"container {left[:12]}", f"volume {volume}", f"volume {kept}"}
        assert lines & set(engine.leftovers()) == expected
        assert lines & set(engine.sweep()) == expected
        told = {what: why for what, why in engine.left_alone() if what in lines}
        in_doubt = (
            {f"container {left[:12]}", f"volume {volume}"}
            if owner and owner.fate().doubt
            else set()
        )
        assert set(told) == in_doubt
        assert not lines & set(engine.leftovers())
        containers = [each["Id"] for each in engine.api.containers(all=True)]
        volumes = [each["Name"] for each in engine.api.volumes()["Volumes"]]
        assert (left in containers, volume in volumes) == (label != GONE, label != GONE)
        assert kept in volumes
    finally:
        engine.containers.remove(left)
        engine.remove_volume(kept)


def test_the_container_of_an_image_that_was_made_of_one_is_left_alone(engine: DockerEngine) -> None:
    """`docker commit` gives the image the label of the run-container, and the image gives it on."""
    left = container(engine, {OWNER_LABEL: GONE})
    image = engine.api.commit(left)["Id"]
    theirs = engine.api.create_container(image, ["sleep", "1"])["Id"]
    try:
        found, told = engine.leftovers(), dict(engine.left_alone())
        assert f"container {left[:12]}" in found
        assert f"container {theirs[:12]}" not in found
        assert "from an image" in told[f"container {theirs[:12]}"]
        assert f"container {left[:12]}" not in told
    finally:
        for each in (theirs, left):
            engine.containers.remove(each)
        engine.api.remove_image(image)


def test_a_container_that_is_already_going_does_not_stop_a_sweep(engine: DockerEngine) -> None:
    with closing(engine.open(SandboxSpec())) as sandbox:
        sandbox.wait()
    for each in engine.containers.alive():
        for _ in range(2):
            engine.containers.remove(each)


def test_closing_waits_until_everything_has_gone(engine: DockerEngine) -> None:
    """Who closes an engine may remove the volume, or the machine."""
    with (
        closing(DockerEngine(engine.host)) as other,
        closing(other.open(SandboxSpec())) as sandbox,
    ):
        sandbox.wait()
        started = other.containers.alive()
    assert started
    assert not started & {each["Id"] for each in engine.api.containers(all=True)}


def test_closing_removes_what_was_never_closed(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that will not end by itself too."""
    other = DockerEngine(engine.host)
    sandbox = other.open(SandboxSpec())
    sandbox.wait()
    started = other.containers.alive()
    monkeypatch.setattr(containers_module, "REMOVAL_SECONDS", 0.2)
    other.close()
    eventually(
        lambda: not started & {each["Id"] for each in engine.api.containers(all=True)}, "it goes"
    )
    sandbox.close()


RULES = {
    "LD_LIBRARY_PATH": "/usr/local/lib:",
    "LD_PRELOAD": "/sandbox/spy.so",
    "PATH": ".:/usr/local/bin:/usr/bin:/bin",
    "BASH_ENV": "/sandbox/spy",
    "ENV": "/sandbox/spy",
    "GCONV_PATH": "/sandbox",
    "IFS": "/",
    "TAR_OPTIONS": "--use-compress-program=/sandbox/spy",
    "TMPDIR": "/sandbox",
    "POSIXLY_CORRECT": "1",
    "LC_ALL": "tlh_KX",
    "TINI_VERBOSITY": "3",
    "HOME": "/sandbox",
    "TWO": "one\n'two' \\\"three\\\" 100%  ",
    "ODD": "caf\u00e9 \u0007",
}
"""An image's variables, each of which would make a program load, run or take for its own what lies
in the sandbox.
"""

SPY = """
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void spy(void) {
  if (getuid() != 65534) close(open("/tmp/spied", O_CREAT, 0644));
}
"""

TOOLS = (
    *(
        "b2sum",
        "cat",
        "dd",
        "env",
        "find",
        "head",
        "mkfifo",
        "rm",
        "setpriv",
        "sh",
        "sleep",
        "spy",
        "stat",
        "stdbuf",
        "tar",
    ),
    *("timeout", "tr", "true", "xargs"),
)
"""All that a guest uses, for a folder that is not where it looks."""


@contextlib.contextmanager
def ruling_image(
    engine: DockerEngine, variables: Mapping[str, str], **config: object
) -> Iterator[str]:
    """The run image with these variables, and more of its configuration, for the time of a test."""
    untyped: Any = engine.api  # the stubs do not know all of it
    environment = [f"{each}={value}" for each, value in variables.items()]
    name = f"harness-test-{secrets.token_hex(6)}"
    made = container(engine, {}, environment=environment)  # whose own Podman takes, and no others
    try:
        untyped.commit(made, name, conf={"Env": environment, **config})
    finally:
        engine.containers.remove(made)
    try:
        yield name
    finally:
        eventually(
            lambda: not engine.traces(), "the container of it has gone"
        )  # else Podman trips over it
        untyped.remove_image(name, force=True)


def test_what_an_image_sets_rules_the_player_alone(engine: DockerEngine) -> None:
    """Nothing of the player's runs as root, however the image's variables point there: neither at
    the start, nor in any request; and each request does what it does elsewhere. The player has all
    of them, to the byte.
    """
    tool = '#!/bin/sh\n[ "$(/usr/bin/id -u)" = 65534 ] || echo "$0" >>/tmp/spied\nexec "/usr/bin/${0##*/}" "$@"\n'
    with (
        ruling_image(engine, RULES) as image,
        closing(engine.open(SandboxSpec(image=image))) as sandbox,
    ):
        fill(sandbox, {**dict.fromkeys(TOOLS, tool), "spy.c": SPY})
        compile_it = "/usr/bin/env -i PATH=/usr/bin gcc -shared -fPIC -o spy.so spy.c"
        assert sandbox.execute(compile_it, PATIENCE).status == 0
        sandbox.get_ready()
        done = sandbox.execute("echo done; /usr/bin/env -0 >variables", PATIENCE)
        assert (done.stdout, done.status) == (b"done\n", 0)
        assert (
            sandbox.execute("no-such-program", PATIENCE).reason
            == "the image has no no-such-program"
        )
        assert b"spy.so" in sandbox.observe()
        assert sandbox.usage().memory
        sandbox.mark()
        names = {b"variables", b"spy.so"}
        assert names < sandbox.listing().records.keys()
        assert sandbox.digest(names).keys() == names
        assert b"".join(sandbox.pick(names))
        sandbox.delete([b"spy.c"])
        assert b"spy.c" not in sandbox.observe()
        assert b"".join(sandbox.pack())
        said = sandbox.execute("/usr/bin/env -i /bin/cat /tmp/spied variables", PATIENCE)
        assert b"/tmp/spied: No such file" in said.stderr
        given = dict(each.split(b"=", 1) for each in said.stdout.split(b"\0") if each)
        expected = {name.encode(): value.encode() for name, value in RULES.items()}
        del expected[b"IFS"]  # which a shell sets itself
        assert {name: given.get(name) for name in expected} == expected


def test_what_an_image_would_run_by_itself_does_not_run(engine: DockerEngine) -> None:
    """Neither its entry point nor its health check, which would be root's; its user and its folder
    are not the run's.
    """
    if is_podman(engine):
        pytest.skip("Podman makes no image with a health check by itself")
    health = {"Test": ["CMD-SHELL", "echo >/tmp/checked"], "Interval": 10**9}
    config = {
        "Entrypoint": ["/bin/false"],
        "User": "1234",
        "WorkingDir": "/usr",
        "Healthcheck": health,
    }
    with (
        ruling_image(engine, {}, **config) as image,
        closing(engine.open(SandboxSpec(image=image))) as sandbox,
    ):
        said = sandbox.execute("id -u; pwd; sleep 3; cat /tmp/checked", PATIENCE)
        assert said.stdout == b"65534\n/sandbox\n"


def test_an_engine_that_dies_is_an_error_of_one_line(engine: DockerEngine, tmp_path: Path) -> None:
    """Whatever is tried; and closing what it held raises nothing."""
    with (
        closing(Proxy(tmp_path, engine.host)) as proxy,
        closing(DockerEngine(proxy.host)) as mortal,
    ):
        with closing(mortal.open(SandboxSpec())) as sandbox:
            sandbox.wait()
            proxy.die()
            for attempt in (
                lambda: sandbox.execute("true", PATIENCE),
                lambda: mortal.open(SandboxSpec()).wait(),
                lambda: mortal.create_volume("harness-test-none", temporary=True),
                lambda: mortal.remove_volume("harness-test-none"),
                mortal.volumes,
                mortal.leftovers,
                mortal.sweep,
            ):
                with pytest.raises(EngineError) as died:
                    attempt()
                one_line(died.value)
            sandbox.kill()
        proxy.come_back()
        with closing(mortal.open(SandboxSpec())) as sandbox:
            assert sandbox.execute("echo back", PATIENCE).stdout == b"back\n"
