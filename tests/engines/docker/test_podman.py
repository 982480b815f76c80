"""Podman: it is known for what it is, asked in its own words, and refused by name for what it does
not do.

What it has in common with Docker is tried by the tests of the Docker engine, on the Podman that HARNESS_PODMAN names.
"""

from __future__ import annotations

import json
import os
import platform
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import docker.errors
import pytest

import harness
from harness.cli import main
from harness.engines.docker import container_request, images
from harness.engines.docker import engine as docker_module
from harness.engines.docker.engine import DockerEngine
from harness.engines.docker.podman import Filter, Podman, engine_identity, explained
from harness.engines.doctor import docker as docker_doctor
from harness.engines.spec import HostFolder, Mount, Overlay, PartOfVolume, WholeVolume
from harness.inside.errors import EngineError
from harness.inside.layout import Avatar
from harness.runners import parse_variant
from harness.runners.claims import Property
from tests.machine import PODMAN, make_engine, missing
from tests.support import PATIENCE, completed, one_line, play, script, snapshot

DOCKER = {
    "ID": "ABCD",
    "Name": "here",
    "DockerRootDir": "/var/lib/docker",
    "ServerVersion": "26.1.5",
}
"""What a Docker answers when it is asked what it is, as far as it matters."""

FOUND: dict[str, Any] = {
    "ID": "0c0b0a09",
    "Name": platform.node(),
    "DockerRootDir": "/var/lib/containers",
    "ServerVersion": "4.3.1",
    "BuildahVersion": "1.28.2",
    "Rootless": False,
    "CgroupVersion": "1",
    "CgroupDriver": "systemd",
    "SecurityOptions": ["name=seccomp,profile=default"],
}
"""What a Podman answers."""

ROOTFUL = Podman("4.3.1", rootless=False, groups=True, here=True, ours=True)
ROOTLESS = replace(ROOTFUL, rootless=True)

ASKED: dict[str, Any] = {
    "Entrypoint": ["/bin/sh", "-c", "guest"],
    "Env": ["PATH=/bin", "LC_ALL=C", "LD_PRELOAD"],
    "HostConfig": {
        "CapAdd": ["KILL"],
        "Tmpfs": {
            "/tmp": "exec,mode=1777,size=9",
            "/sand box": "mode=0755,uid=65534,gid=65534,size=8,nr_inodes=7",
        },
        "Ulimits": [
            {"Name": "fsize", "Soft": 4096, "Hard": 4096},
            {"Name": "nofile", "Soft": 64, "Hard": 64},
        ],
        "ReadonlyRootfs": True,
        "Mounts": [],
    },
}
"""A request for a container, in Docker's words."""


@pytest.fixture
def host(tmp_path: Path) -> str:
    """A socket of this user's; nobody is behind it."""
    (tmp_path / "podman.sock").touch()
    return f"unix://{tmp_path}/podman.sock"


class Answering(socketserver.ThreadingUnixStreamServer):
    """An engine that answers what it is, and nothing else."""

    daemon_threads = True

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.answers = {"info": facts, "version": {"ApiVersion": "1.41"}, "_ping": {}}
        super().__init__(str(path), _Handler)
        self.host = f"unix://{path}"
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    def server_close(self) -> None:
        self.shutdown()
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        found = self.server.answers.get(self.path.rpartition("/")[2])
        body = json.dumps(found if found is not None else {"message": "no such thing"}).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts an engine that answers so; returns its host."""
    started: list[Answering] = []

    def start(**facts: Any) -> str:
        started.append(Answering(tmp_path / f"{len(started)}.sock", {**FOUND, **facts}))
        return started[-1].host

    yield start
    for each in started:
        each.server_close()


def test_it_is_told_from_docker(host: str) -> None:
    """By its answer, and not by its socket, which may have any name."""
    assert Podman.detect(DOCKER, host) is None
    assert Podman.detect(FOUND, host) == ROOTFUL
    assert str(ROOTFUL) == "podman 4.3.1"
    assert str(ROOTLESS) == "podman 4.3.1, rootless"


@pytest.mark.parametrize("version", ["3.4.4", "4.2.0", "unknown"])
def test_an_old_one_is_refused_by_name_and_at_once(
    version: str,
    answering: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before anything is asked of it: when it is connected, by the doctor, and on the command
    line.
    """
    host = answering(ServerVersion=version)
    with pytest.raises(
        EngineError, match=rf"Podman {version} at .*; use Podman 4\.3 or later, or Docker"
    ) as refused:
        DockerEngine(host)
    one_line(refused.value)
    monkeypatch.setenv("DOCKER_HOST", host)
    findings, fitness = docker_doctor.examine(1, None, lambda line: None)
    assert [each.state for each in findings] == ["missing"]
    assert fitness.problem == str(refused.value)
    assert not fitness.answers
    assert main(["katas", "list", "--engine", "docker", "--katas", "volume:any"]) == 2
    assert f"Podman {version}" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["4.3.1", "5.4.2", "6.0.0-dev"])
def test_later_ones_are_taken(version: str, answering: Callable[..., str]) -> None:
    facts = {"KernelVersion": "6.1", "OperatingSystem": "debian", "NCPU": 2}
    host = answering(ServerVersion=version, Driver="overlay", **facts)
    with closing(DockerEngine(host)) as engine:
        assert engine.describe()["engine"] == f"podman {version}"
        assert engine.gaps == ()


@pytest.mark.parametrize(
    ("facts", "gaps"),
    [
        ({}, []),
        ({"Rootless": True, "CgroupVersion": "2"}, []),
        ({"Rootless": True, "CgroupVersion": "1"}, ["memory and processes"]),
        (
            {"Rootless": True, "CgroupVersion": "2", "CgroupDriver": "cgroupfs"},
            ["memory and processes"],
        ),
        ({"CgroupDriver": "cgroupfs"}, []),
        ({"Name": "elsewhere"}, ["only Podman's own table"]),
    ],
)
def test_what_it_leaves_open_is_told_and_not_claimed(
    facts: dict[str, Any],
    gaps: list[str],
    answering: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rootless one passes over bounds where it can make no control groups; one elsewhere cannot
    read the filter.
    """
    filters: list[Filter] = []

    def made() -> Filter:
        filters.append(Filter())
        return filters[-1]

    monkeypatch.setattr(docker_module, "Filter", made)
    with closing(DockerEngine(answering(**facts))) as engine:
        assert len(engine.gaps) == len(gaps)
        assert all(gap.startswith(start) for gap, start in zip(engine.gaps, gaps, strict=True))
        claimed = parse_variant("katas-data-container").claims(engine)
        assert (Property.ISOLATED in claimed) == (not gaps)
        assert Property.FRESH in claimed
        assert len(filters) == ("Name" not in facts)
        for each in filters:
            assert "io_uring_setup" in each.path.read_text()
    assert not any(each.path.exists() for each in filters), "it goes with the engine"


@pytest.mark.parametrize(
    ("podman", "mount", "why"),
    [
        (ROOTFUL, Overlay, "Podman 4.3.1 ignores a volume's options"),
        (ROOTFUL, PartOfVolume, "Podman 4.3.1 ignores volume-subpath"),
        (ROOTFUL, WholeVolume, ""),
        (ROOTFUL, HostFolder, ""),
        (ROOTLESS, Overlay, "Podman 4.3.1 ignores a volume's options"),
        (ROOTLESS, HostFolder, ""),
        (
            replace(ROOTLESS, ours=False),
            HostFolder,
            "a rootless Podman 4.3.1 cannot mount",
        ),
        (replace(ROOTFUL, ours=False), HostFolder, ""),
    ],
)
def test_what_it_cannot_mount_is_refused(podman: Podman, mount: type[Mount], why: str) -> None:
    """In one line, with what to take."""
    said = podman.refusal(mount)
    assert said.startswith(why)
    assert bool(said) == bool(why)
    if said:
        one_line(EngineError(said))
        assert "take katas-data-container or tmp instead" in said


def test_a_user_s_socket_is_of_another_user(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is behind it cannot mount what is this user's, unless it is root."""
    own = Podman.detect(FOUND, host)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    other = Podman.detect(FOUND, host)
    assert own
    assert other
    assert (own.ours, other.ours) == (True, os.getuid() == 0)
    assert other.here
    for nowhere in ("unix:///nowhere/podman.sock", "tcp://127.0.0.1:1"):
        gone = Podman.detect(FOUND, nowhere)
        assert gone
        assert not gone.ours


def test_a_request_is_translated() -> None:
    """None of the image's variables is left, a tmpfs has its owner all the same, and no copy of the
    image's folder; what cannot be written to elsewhere cannot be here.
    """
    before = json.dumps(ASKED)
    told = ROOTFUL.translate(ASKED)
    assert json.dumps(ASKED) == before
    assert told["Env"] == ["PATH=/bin", "LC_ALL=C"]
    assert told["UnsetEnvAll"] is True
    asked = told["HostConfig"]
    assert asked["Tmpfs"] == {
        "/var/tmp": "ro,size=4k,notmpcopyup",
        "/tmp": "exec,mode=1777,size=9,notmpcopyup",
        "/sand box": "mode=0755,size=8,notmpcopyup",
    }
    assert asked["CapAdd"] == ["KILL", "CHOWN"]
    words = told["Entrypoint"][2]
    assert words.startswith("chown 65534:65534 '/sand box' && exec setpriv")
    assert "-chown" in words.partition("exec")[2], "who gave it away cannot do so again"
    assert told["Entrypoint"][-3:] == ASKED["Entrypoint"]
    assert {each["Name"] for each in asked["Ulimits"]} == {"fsize", "nofile", "nproc"}
    assert "UsernsMode" not in asked


def test_what_needs_no_word_more_gets_none() -> None:
    """A keeper is started as it is, and holds no capability that it did not ask for."""
    plain = {**ASKED, "HostConfig": {"CapAdd": ["FOWNER"], "Tmpfs": {"/tmp": "mode=1777"}}}
    told = ROOTLESS.translate(plain)
    assert told["Entrypoint"] == ASKED["Entrypoint"]
    assert told["HostConfig"]["CapAdd"] == ["FOWNER"]
    assert told["HostConfig"]["Ulimits"] == []


def test_a_rootless_one_is_bounded_by_the_guest_itself() -> None:
    """It passes over the bounds that it is asked for; those that a shell sets are inherited, and
    cannot be raised.
    """
    host = {**ASKED["HostConfig"], "Tmpfs": {}}
    command = ["/bin/sh", "-c", "ulimit -n; ulimit -f; head -c 5000 /dev/zero >large", "guest"]
    told = ROOTLESS.translate({**ASKED, "Entrypoint": command, "HostConfig": host})
    done = subprocess.run(
        told["Entrypoint"], cwd=os.environ.get("TMPDIR", "/tmp"), capture_output=True, check=False
    )
    assert done.stdout == b"64\n8\n"
    assert done.returncode


def test_a_folder_of_the_user_s_is_the_user_s_in_a_rootless_one() -> None:
    host = {
        **ASKED["HostConfig"],
        "Mounts": [{"Type": "bind", "Source": "/katas", "Target": "/sandbox"}],
    }
    assert (
        ROOTLESS.translate({**ASKED, "HostConfig": host})["HostConfig"]["UsernsMode"] == "keep-id"
    )
    assert "UsernsMode" not in ROOTFUL.translate({**ASKED, "HostConfig": host})["HostConfig"]


def test_what_was_found_out_of_an_image_stays_known() -> None:
    """Though Podman calls itself by another name each time that it is asked."""
    assert engine_identity(FOUND) == engine_identity({**FOUND, "ID": "other"})
    assert engine_identity(FOUND) != engine_identity({**FOUND, "DockerRootDir": "/elsewhere"})
    assert engine_identity(DOCKER) == "ABCD"


def test_what_it_lacks_is_told_with_what_to_do() -> None:
    assert "install catatonit" in explained(
        "container create: container-init binary not found on the host: stat /x"
    )
    assert "set TMPDIR" in explained(
        "opening seccomp profile failed: open /proc/1/fd/3: no such file"
    )
    assert explained("anything else") == "anything else"


class Making:
    """Makes a container at the third try."""

    def __init__(self, said: str) -> None:
        self.said, self.tries = said, 0

    def post(self, path: str, body: object) -> dict[str, str]:
        self.tries += 1
        if self.tries < 3:
            raise docker.errors.APIError(self.said, explanation=self.said)
        return {"Id": "made"}


def test_what_it_cannot_do_for_the_moment_it_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing else is."""
    monkeypatch.setattr(container_request, "PAUSE_SECONDS", 0.0)
    said = "container create: keep-id requires additional UIDs or GIDs defined in /etc/subuid: %!w(<nil>)"
    making: Any = Making(said)
    assert container_request.create_container(making, {}) == "made"
    refusing: Any = Making("container create: no such image")
    with pytest.raises(docker.errors.APIError):
        container_request.create_container(refusing, {})
    assert refusing.tries == 1
    monkeypatch.setattr(container_request, "TRIES", 2)
    hopeless: Any = Making(said)
    with pytest.raises(docker.errors.APIError):
        container_request.create_container(hopeless, {})
    assert hopeless.tries == 2


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    """A real one."""
    if reason := missing("podman"):
        pytest.skip(f"no engine podman here: {reason}")
    with closing(make_engine("podman", tmp_path_factory.mktemp("home"))) as opened:
        assert isinstance(opened, DockerEngine)
        yield opened


NAMES = (
    "tmp",
    "katas-volume",
    "katas-data-container",
    "katas-data-container:standby=warm",
    "katas-data-container:standby=seeded",
    "katas-data-container:granularity=avatar",
)

EVERY_BYTE = bytes(range(256)) * 64

KEYS = b"\x10\x11"
"""The keys by which a terminal is let go of."""


@pytest.mark.parametrize("name", NAMES)
def test_every_runner_that_it_takes_plays(name: str, podman: DockerEngine) -> None:
    """Builds are incremental where they should be, in a sandbox of the player's own; and any byte
    travels, both ways.
    """
    asked = "id -u; stat -c %u .; cat made 2>/dev/null; cp sent made; touch -d @1.000000001 made; [ ! -w /var/tmp ]"
    with closing(parse_variant(name).open(podman)) as runner:
        for number in (1, 2, 3):
            run = completed(runner.run(Avatar(), script(asked, sent=EVERY_BYTE), max_seconds=60))
            assert (run.tag, run.status) == (number, 0)
            assert run.stdout.startswith(
                "65534\n65534\n" if os.geteuid() == 0 else f"{os.geteuid()}\n"
            )
            assert (len(run.stdout) > len(EVERY_BYTE) // 2) == (number > 1 and name != "tmp")
        if name != "tmp":
            kept = snapshot(runner.katas, Avatar())
            assert kept[b"made"].mtime_ns == 10**9 + 1
            assert kept[b"made"].digest == kept[b"sent"].digest


def test_no_keys_end_a_stream(podman: DockerEngine) -> None:
    """Pressed one after the other, as a person would, too: what is sent is no terminal's."""
    stream = podman.containers.start(
        "cat", image=images.RUN_IMAGE, entrypoint=["cat"], mounts=[], cap_add=[], tmpfs={}
    )
    with closing(stream):
        deadline, read = time.monotonic() + PATIENCE, b""
        for key in KEYS + b"x":
            stream.write(bytes([key]), deadline)
            while not read.endswith(bytes([key])):
                source, piece = stream.read(deadline)
                assert source, "the stream has ended"
                read += piece
        stream.close_write()
        assert read == KEYS + b"x"


@pytest.mark.parametrize("name", ["katas-overlay", "katas-subpath"])
def test_the_others_are_refused_by_name(
    name: str,
    podman: DockerEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """As the runner is opened, in one line, with exit status 2; and the doctor says so before."""
    monkeypatch.setenv("DOCKER_HOST", os.environ[PODMAN])
    with pytest.raises(
        EngineError, match=r"Podman \d.* ignores .*; take katas-data-container"
    ) as refused:
        parse_variant(name).open(podman)
    one_line(refused.value)
    with pytest.raises(EngineError, match="ignores"), harness.open_runner(name, engine="docker"):
        pass
    (tmp_path / "cyber-dojo.sh").write_text("true\n")
    (tmp_path / "cyber-dojo.sh").chmod(0o755)
    assert main(["run", str(tmp_path), "--engine", "docker", "--runner", name]) == 2
    assert str(refused.value) in capsys.readouterr().err.replace("\n", " ")
    assert not podman.traces()


def test_what_it_lacks_is_told_when_a_runner_is_opened(
    podman: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not by a test event that is faulty."""
    podman.check_image(None)

    def lacks(config: object) -> None:
        said = "container create: container-init binary not found on the host: stat /usr/libexec/podman/catatonit"
        raise docker.errors.APIError(said, explanation=said)

    with closing(DockerEngine(podman.host)) as other:
        monkeypatch.setattr(other.api, "create_container_from_config", lacks)
        with pytest.raises(EngineError, match="install catatonit") as refused:
            other.check_image(None)
    one_line(refused.value)


def test_the_doctor_knows_it(podman: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name and version, what it can be used for, and what not."""
    monkeypatch.setenv("DOCKER_HOST", os.environ[PODMAN])
    findings, fitness = docker_doctor.examine(1, None, lambda line: None)
    told = {each.subject: each for each in findings}
    assert not fitness.problem
    assert fitness.answers
    assert told["engine"].state == "good"
    assert podman.describe()["engine"] in told["engine"].what
    assert told["overlays"].state == told["volume-subpath"].state == "fair"
    assert (told["bounds"].state == "good") == (not podman.gaps)


def test_a_session_goes_on_after_a_time_out(podman: DockerEngine) -> None:
    """One that is killed leaves no container, and its katas as they were."""
    with closing(parse_variant("katas-data-container").open(podman)) as runner:
        play(runner, Avatar(), "echo kept >made")
        assert (
            runner.run(Avatar(), script("echo lost >made; sleep 1000.0078125"), max_seconds=1).tag
            is None
        )
        assert play(runner, Avatar(), "cat made").stdout == "kept\n"
