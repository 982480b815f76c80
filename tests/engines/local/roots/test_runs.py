"""Runs in the root of an image on the local engine: what they see, and that all runners work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.engines import Engine, SandboxSpec
from harness.engines.docker.engine import DockerEngine
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.local.engine import LocalEngine
from harness.engines.local.roots.store import RootStore, roots_home
from harness.engines.spec import WholeVolume
from harness.inside.errors import ImageError
from harness.runners import parse_variant
from harness.runners.run import Outcome
from tests.images import Member, entry, folder, image_of, symlink, tar_of, text, usable
from tests.support import PATIENCE, an_avatar, make_runner, one_line, play, script

pytestmark = pytest.mark.skipif(bool(bubblewrap_problem()), reason=bubblewrap_problem())

IMAGE = "small"


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache with an image of a few programs, for the whole module."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        extras: list[Member] = [
            text("etc/marker", "of the image\n"),
            text("etc/open", mode=0o666),
            folder("sandbox"),
            text("sandbox/hidden"),
            symlink("katas", "/etc"),
            symlink("proc", "/etc"),
            text("tmp", "no folder"),
        ]
        with closing(RootStore()) as store:
            store.add(image_of([*usable(), *extras], Env=["A=of the image", "HOME=/"]), [IMAGE])
        yield roots_home()


@pytest.fixture
def engine(roots: Path, tmp_path: Path) -> Iterator[LocalEngine]:
    with closing(LocalEngine(tmp_path / "home", bubblewrap=True)) as opened:
        yield opened


def said(engine: Engine, command: str, spec: SandboxSpec) -> bytes:
    with closing(engine.open(spec)) as sandbox:
        execution = sandbox.execute(command, PATIENCE)
    assert not execution.timed_out
    assert not execution.reason
    return execution.stdout + execution.stderr


SPEC = SandboxSpec(image=IMAGE)


def test_a_run_sees_the_image_and_nothing_of_this_machine(engine: LocalEngine) -> None:
    """Beside its sandbox, /tmp, /proc and /dev, whatever the image has in their places."""
    assert engine.check_image(IMAGE) == IMAGE
    assert said(engine, "cat /etc/marker", SPEC) == b"of the image\n"
    at_top = set(said(engine, "ls /", SPEC).split())
    assert at_top - {b"lib", b"lib64", b"usr"} == {
        *(b"bin", b"dev", b"etc", b"katas", b"proc", b"sandbox", b"tmp")
    }
    assert b"etc/os-release" in said(engine, "cat /etc/os-release", SPEC)
    assert said(engine, "ls /sandbox /tmp", SPEC) == b"/sandbox:\n\n/tmp:\n"
    assert b"No such" in said(engine, f"ls {Path(__file__)}", SPEC)


def test_a_run_has_what_docker_gives_it(engine: LocalEngine) -> None:
    """The user nobody, the image's variables, the same path of the sandbox, and localhost."""
    assert said(engine, "id -u; pwd; echo $A $HOME", SPEC) == b"65534\n/sandbox\nof the image /\n"
    assert b"localhost" in said(engine, "getent hosts localhost", SPEC)
    assert said(engine, "cat /proc/sys/kernel/hostname /etc/hostname", SPEC) == b"sandbox\n" * 2


def test_nothing_of_the_image_can_be_changed(engine: LocalEngine, roots: Path) -> None:
    complaints = said(engine, "touch /new /etc/new /etc/open; rm -f /etc/marker /bin/id", SPEC)
    assert complaints.count(b"Read-only file system") == 5
    assert not list(roots.rglob("new"))
    assert said(engine, "cat /etc/marker", SPEC) == b"of the image\n"


def test_a_cache_that_a_run_keeps_is_told_by_the_image_s_home(
    engine: LocalEngine, roots: Path
) -> None:
    """The image's HOME, which may be below the fresh /tmp."""
    with closing(RootStore()) as store:
        store.add(image_of([*usable()], Env=["HOME=/tmp/me"]), ["home"])
    for image, caches in (("home", (".cache",)), (IMAGE, ())):
        with closing(engine.open(SandboxSpec(image=image))) as sandbox:
            done = sandbox.execute("mkdir -p /tmp/me/.cache; mkdir /tmp/.cache", PATIENCE)
        assert (done.status, done.caches) == (0, caches)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's runs begin as root")
def test_a_program_of_the_image_that_begins_as_root_reaches_nothing(
    engine: LocalEngine, roots: Path
) -> None:
    """Such as its setpriv: neither a setting of the machine nor, of the katas, what is beside the
    sandbox.
    """
    hostile = """#!/bin/sh
[ "$(id -u)" = 0 ] || exit
[ -e /katas/sandbox ] || exit 0
for each in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger \\
    /etc /bin/sh /katas /katas/history /katas/sandbox; do
    [ ! -w $each ] || echo $each
done
"""
    program = entry("bin/setpriv", content=hostile.encode(), mode=0o755)
    with closing(RootStore()) as store:
        store.add(image_of([*usable(), program]), ["hostile"])
    engine.create_volume("v", temporary=True)
    katas = engine.home / "volumes" / "v" / "katas"
    for name in ("sandbox", "history"):
        (katas / name).mkdir()
    spec = SandboxSpec(image="hostile", mount=WholeVolume("v", "sandbox"))
    assert said(engine, "unused", spec) == b"/katas/sandbox\n"


def test_bare_make_runs_in_the_same_root(engine: LocalEngine) -> None:
    """In place does not mean on this machine if there is an image."""
    spec = SandboxSpec(image=IMAGE, in_place=True)
    assert said(engine, "cat /etc/marker; pwd", spec) == b"of the image\n/sandbox\n"


@pytest.mark.parametrize(
    "name",
    [
        "tmp",
        "katas-volume",
        "katas-data-container",
        "katas-data-container:standby=warm",
        "katas-data-container:standby=seeded",
        "katas-subpath",
        "katas-overlay",
    ],
)
def test_each_runner_works_in_an_image(name: str, engine: LocalEngine) -> None:
    """And brings back what a run made, but for tmp."""
    with closing(parse_variant(name).open(engine, None, image=IMAGE)) as runner:
        avatar = an_avatar()
        for number in range(2):
            run = play(
                runner, avatar, f"cat /etc/marker; pwd; touch made{number}; ls; exit {number}"
            )
            assert run.status == number
            marker, path, *files = run.stdout.splitlines()
            assert marker == "of the image"
            assert path.startswith(("/sandbox", "/katas/"))
            assert ("made0" in files) == (number == 0 or name != "tmp")
            runner.prepare(avatar)


def test_a_tool_that_the_image_lacks_is_told(engine: LocalEngine) -> None:
    """As on Docker, the image is asked, not this machine."""
    with closing(make_runner("tmp", engine, image=IMAGE, command="make")) as runner:
        run = runner.run(an_avatar(), script(""), max_seconds=PATIENCE)
    assert (run.outcome, run.reason) == (Outcome.FAULTY, "the image has no make")


def test_an_image_that_can_run_nothing_is_refused(engine: LocalEngine, roots: Path) -> None:
    """Without sh, without env, and with programs of another machine."""
    with closing(RootStore()) as store:
        store.add(image_of([text("empty")]), ["empty"])
        without = [member for member in usable() if member[0].name != "bin/env"]
        store.add(image_of(without), ["no-env"])
        foreign = [text("bin/sh", "\x7fELF of a PDP-11", mode=0o755)]
        store.add(image_of(foreign), ["foreign"])
    for name in ("empty", "no-env", "foreign"):
        with pytest.raises(ImageError, match="a run needs sh and env") as error:
            engine.check_image(name)
        one_line(error.value)


def test_an_image_takes_bubblewrap(roots: Path, tmp_path: Path) -> None:
    with closing(LocalEngine(tmp_path, bubblewrap=False)) as plain:
        with pytest.raises(ImageError, match="the image small takes bubblewrap, and this") as error:
            plain.check_image(IMAGE)
        one_line(error.value)
        assert plain.check_image(None)


def test_an_image_that_nobody_has_is_refused(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no Docker answers; where one does, it is asked."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    with pytest.raises(ImageError, match="the local engine has no image none, and Docker") as error:
        engine.check_image("none")
    assert "harness image import FILE" in one_line(error.value)


def test_two_engines_of_one_process_may_use_one_image(engine: LocalEngine, tmp_path: Path) -> None:
    """The root stays while one of them does."""
    assert said(engine, "cat /etc/marker", SPEC)
    with closing(LocalEngine(tmp_path / "other", bubblewrap=True)) as other:
        assert said(other, "cat /etc/marker", SPEC)
    assert said(engine, "cat /etc/marker", SPEC)


def test_both_engines_give_one_answer(
    docker_engine: DockerEngine, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To what a run can ask of one image: its user, path, variables, files, hosts and limits."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    name = f"harness-test-{an_avatar().name.lower()}"
    members = [*usable(), folder("etc/deep"), text("etc/deep/file", mode=0o600, uid=7, gid=8)]
    docker_engine.api.import_image_from_data(
        tar_of(members), repository=name, changes=["ENV A=1", "ENV HOME=/etc"]
    )
    asked = (
        "pwd; id; env; cat /etc/hosts /etc/passwd; ls -l /etc/deep; stat -c '%A %U %n' /bin/* /etc;"
        "getent hosts localhost; touch /etc/new /new; cat /etc/deep/file; printf é | wc -m;"
        "ulimit -a; ls -A /sandbox /tmp; stat -c '%A %u %g' /sandbox /tmp; set -o; ls /none"
    )
    try:
        spec = SandboxSpec(image=name)
        docker, local = (said(each, asked, spec).splitlines() for each in (docker_engine, engine))
        assert len(docker) > 50
        assert local == docker
    finally:
        docker_engine.api.remove_image(name, force=True)
        with closing(RootStore()) as store:
            store.forget(name)


def test_an_image_of_docker_is_taken_and_taken_anew(
    docker_engine: DockerEngine, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; and again when its name has got another image there."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    name = f"harness-test-{an_avatar().name.lower()}"
    try:
        for number in range(2):
            marker = text("etc/marker", f"{number}\n")
            docker_engine.api.import_image_from_data(
                tar_of([*usable(), marker]), repository=name, changes=[f"ENV A={number}"]
            )
            for first in (True, False):
                with closing(LocalEngine(engine.home, bubblewrap=True)) as local:
                    lines: list[str] = []
                    local.fetch_image(name, lines.append)
                    spec = SandboxSpec(image=name)
                    seen = said(local, "cat /etc/marker; echo $A", spec)
                    assert seen == b"%d\n" % number * 2
                    assert bool(lines) == first
    finally:
        docker_engine.api.remove_image(name, force=True)
        with closing(RootStore()) as store:
            store.forget(name)
