"""The harness's own images are fit for a run, and an image that would give stale builds is refused
with why.

Every engine that answers is tried: the default one, and the one that HARNESS_DOCKER26 names.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import tarfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from harness.engines.docker import images
from harness.engines.docker.images import builder, prober, recipe
from harness.engines.fixtures import fixture
from harness.inside.errors import ImageError, UsageError

LABEL = "harness.test.images"

FIT = images.ImageFacts(
    image="sha256:0",
    sh=True,
    tar="GNU tar 1.34",
    exact_tar=True,
    tools=frozenset(
        [
            "setpriv",
            "head",
            "mkfifo",
            "timeout",
            "env",
            "cat",
            "stdbuf",
            "find",
            "rm",
            "make",
            "gcc",
        ]
    ),
    make="4.3",
    gcc="12.2.0",
)


@pytest.fixture(scope="module", params=["default", "HARNESS_DOCKER26"])
def api(request: pytest.FixtureRequest) -> Iterator[docker.APIClient]:
    try:
        if request.param == "default":
            client = docker.from_env(version="auto", timeout=60).api
        elif host := os.environ.get(request.param):
            client = docker.APIClient(base_url=host, version="auto", timeout=60)
        else:
            pytest.skip(f"{request.param} names no engine")
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no engine answers: {error}")
    yield client
    client.close()


@pytest.fixture(scope="module")
def api_with_images(api: docker.APIClient) -> docker.APIClient:
    """The same engine, with both images on it; they stay there."""
    for name in (images.RUN_IMAGE, images.KEEPER_IMAGE):
        images.ensure(api, name, report=print)
    return api


@pytest.fixture(scope="session")
def busybox() -> bytes:
    made = subprocess.run(
        ["sh", str(fixture("images/busybox.sh"))], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(made.stderr.decode())
    return made.stdout


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder of the test's own, empty at first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "harness"


@contextlib.contextmanager
def imported(api: docker.APIClient, root: bytes) -> Iterator[str]:
    """An image of this root file system, for the time of a test."""
    name = f"harness-test-{uuid.uuid4().hex}"
    api.import_image_from_data(root, repository=name, tag="latest")
    try:
        yield name
    finally:
        api.remove_image(name, force=True)


@contextlib.contextmanager
def changed(
    api: docker.APIClient,
    files: Mapping[str, str],
    variables: Iterable[tuple[str, str]] = (),
    *,
    volume: str = "",
) -> Iterator[str]:
    """The run image with these files, executable, and other variables and VOLUMEs, for the time of
    a test.
    """
    root = io.BytesIO()
    with tarfile.open(fileobj=root, mode="w") as tar:
        for path, text in files.items():
            file = tarfile.TarInfo(path)
            file.mode, file.size = 0o755, len(text)
            tar.addfile(file, io.BytesIO(text.encode()))
    untyped: Any = api  # the stubs know neither of the last two calls rightly
    container = api.create_container(images.RUN_IMAGE, command=["true"], labels={LABEL: "yes"})
    try:
        untyped.put_archive(container, "/", root.getvalue())
        changes = [f'ENV {name}="{value}"' for name, value in variables] + [
            f"VOLUME {volume}"
        ] * bool(volume)
        name = f"harness-test-{uuid.uuid4().hex}"
        untyped.commit(container, name, changes="\n".join(changes) or None)
    finally:
        api.remove_container(container, force=True)
    try:
        yield name
    finally:
        api.remove_image(name, force=True)


def probe(api: docker.APIClient, image: str) -> images.ImageFacts:
    return images.probe(api, image, labels={LABEL: "yes"})


def test_the_run_image_can_take_part(api_with_images: docker.APIClient) -> None:
    """It has a compiler, make, and a GNU tar that keeps nanoseconds, and nothing that a run wants
    lacks.
    """
    facts = probe(api_with_images, images.RUN_IMAGE)
    assert images.problems(facts) == []
    assert images.warnings(facts) == []
    assert re.fullmatch(r"GNU tar [\d.]+", facts.tar)
    assert facts.exact_tar
    assert re.fullmatch(r"[\d.]+", facts.gcc)
    assert re.fullmatch(r"[\d.]+", facts.make)


def test_the_keeper_can_run_its_program(api_with_images: docker.APIClient) -> None:
    """Its Python has the modules of the standard library that a keeper imports."""
    api = api_with_images
    program = "import ctypes, fcntl, hashlib, json, subprocess, zipfile"
    created = api.create_container(
        images.KEEPER_IMAGE, command=["python3", "-I", "-c", program], labels={LABEL: "yes"}
    )
    try:
        api.start(created)
        assert api.wait(created)["StatusCode"] == 0
    finally:
        api.remove_container(created, force=True)


def test_busybox_is_refused_with_what_would_go_wrong(api: docker.APIClient, busybox: bytes) -> None:
    """Its tar gives stale builds, its setpriv cannot change the user, and its head reads past its
    count.
    """
    with imported(api, busybox) as name:
        facts = probe(api, name)
    assert facts.sh
    assert facts.tar.startswith("busybox 1.")
    found = images.problems(facts)
    assert "an edit within the same second; install GNU tar in the image" in found[0]
    assert [line for line in found if "setpriv" in line and "install util-linux" in line]
    assert [line for line in found if line.startswith("no usable head: ")]
    assert len(found) == 3  # the rest of busybox does


def test_an_image_with_nothing_in_it_lacks_sh(api: docker.APIClient) -> None:
    """A container that cannot even start is told from an engine that fails."""
    root = io.BytesIO()
    with tarfile.open(fileobj=root, mode="w") as tar:
        folder = tarfile.TarInfo("empty")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    with imported(api, root.getvalue()) as name:
        facts = probe(api, name)
    assert not facts.sh
    assert [line.partition(":")[0] for line in images.problems(facts)] == ["no sh"]


def test_a_missing_image_is_named_with_what_to_do(api: docker.APIClient) -> None:
    with pytest.raises(
        ImageError, match="no image harness-test-missing on this engine: `harness image build`"
    ):
        probe(api, "harness-test-missing")
    with pytest.raises(ImageError, match="docker pull harness-test-missing"):
        images.ensure(api, "harness-test-missing", report=print)


FOREIGN = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xb7\0\1" + bytes(43)
"""The header of a program for AArch64, or nearly: the kernel of no other processor runs it."""


def test_an_image_of_another_architecture_is_refused_by_name(api: docker.APIClient) -> None:
    """Which one it is for, that this machine cannot run it, and what to do: in one line."""
    root = io.BytesIO()
    with tarfile.open(fileobj=root, mode="w") as tar:
        program = tarfile.TarInfo("bin/sh")
        program.mode, program.size = 0o755, len(FOREIGN)
        tar.addfile(program, io.BytesIO(FOREIGN))
    with (
        imported(api, root.getvalue()) as name,
        pytest.raises(
            ImageError, match=rf"{name} is for linux/\w+, and its sh .*--platform"
        ) as refused,
    ):
        probe(api, name)
    assert "\n" not in str(refused.value)


def test_an_image_whose_sh_cannot_run_is_an_error_with_the_reason(api: docker.APIClient) -> None:
    """It is no lack that an installation would mend: most often the image is for another
    processor.
    """
    root = io.BytesIO()
    with tarfile.open(fileobj=root, mode="w") as tar:
        program = tarfile.TarInfo("bin/sh")
        program.mode = 0o755
        program.size = 4
        tar.addfile(program, io.BytesIO(b"\x7fELF"))
    with (
        imported(api, root.getvalue()) as name,
        pytest.raises(ImageError, match="exec format error"),
    ):
        probe(api, name)


def test_a_probe_that_hangs_is_ended(
    api: docker.APIClient, busybox: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long its programs take, an image cannot hold the harness up; nothing is remembered of
    it.
    """
    monkeypatch.setattr(prober, "PROBE", "sleep 60")
    monkeypatch.setattr(prober, "PROBE_SECONDS", 1.0)
    started = time.monotonic()
    with imported(api, busybox) as name, pytest.raises(ImageError, match="the probe ended early"):
        probe(api, name)
    assert time.monotonic() - started < 30
    assert not list(cache.rglob("*.json"))


def test_a_probe_leaves_no_container(api_with_images: docker.APIClient) -> None:
    api = api_with_images
    probe(api, images.RUN_IMAGE)
    deadline = time.monotonic() + 20  # a removal that is under way is asynchronous
    while left := api.containers(all=True, filters={"label": LABEL}):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_facts_are_kept_and_a_torn_file_of_them_is_ignored(
    api_with_images: docker.APIClient, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second probe starts no container, unless what the first one kept was damaged."""
    api = api_with_images
    facts = probe(api, images.RUN_IMAGE)
    examined: list[str] = []

    def examine(_api: Any, _name: str, found: Any, *_more: Any) -> images.ImageFacts:
        examined.append(found["Id"])
        return facts

    monkeypatch.setattr(prober, "examine_image", examine)
    assert probe(api, images.RUN_IMAGE) == facts
    assert examined == []
    (file,) = (cache / "probes").iterdir()
    for damaged in (file.read_text()[:-9], "", "3", "[]", '{"image": "of a stranger"}'):
        file.write_text(damaged)
        assert probe(api, images.RUN_IMAGE) == facts
        assert examined == [facts.image], f"{damaged!r} was believed"
        examined.clear()


class OneImage:
    """An engine that has one image, with these labels."""

    def __init__(self, labels: dict[str, str] | None) -> None:
        self.labels = labels

    def inspect_image(self, _name: str) -> dict[str, Any]:
        return {"Id": "sha256:0", "Config": {"Labels": self.labels}}


@pytest.mark.parametrize("labels", [None, {}, {"harness.recipe": "of last year"}])
def test_an_outdated_image_of_ours_counts_as_missing(
    labels: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody else's image is used as it is, whatever its labels say."""
    made: list[str] = []
    monkeypatch.setattr(
        builder, "make_image", lambda _api, recipe, _report: made.append(recipe.image)
    )
    engine: Any = OneImage(labels)
    images.ensure(engine, "debian", report=print)
    assert made == []
    images.ensure(engine, images.KEEPER_IMAGE, report=print)
    assert made == [images.KEEPER_IMAGE]


def test_a_current_image_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(
        builder, "make_image", lambda _api, recipe, _report: made.append(recipe.image)
    )
    engine: Any = OneImage({"harness.recipe": recipe.ImageRecipe(images.RUN_IMAGE, "gcc").digest()})
    images.ensure(engine, images.RUN_IMAGE, report=print)
    assert made == []


def test_only_the_two_images_can_be_built() -> None:
    engine: Any = None
    with pytest.raises(UsageError, match="harness-gcc, harness-keeper"):
        images.build(engine, "debian", report=print)


def test_the_dockerfile_makes_each_image_from_the_recipe_of_the_same_packages() -> None:
    """Each target runs rootfs.sh on the list that bears its name, and has the same command and
    label.
    """
    stages = re.split(r"(?m)^FROM ", fixture("images/Dockerfile").read_text())
    for each in builder.RECIPES.values():
        assert each.packages.is_file()
        (root,) = (stage for stage in stages if stage.startswith(f"tools AS {each.target}-root\n"))
        assert f"COPY {each.packages.name} .\n" in root
        assert f"sh rootfs.sh {each.packages.name} >" in root
        (image,) = (stage for stage in stages if stage.startswith(f"scratch AS {each.target}\n"))
        assert f"COPY --from={each.target}-root /image /\n" in image
        assert f"LABEL {builder.RECIPE_LABEL}=$RECIPE\n" in image
        assert 'CMD ["/bin/sh"]' in image


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recipes whose rootfs.sh the test writes."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "tiny.packages").write_text("hello\n")
    monkeypatch.setattr(recipe, "fixture", lambda name: tmp_path / name)
    monkeypatch.setattr(recipe, "REPORT_SECONDS", 0.05)
    return folder


def test_a_root_file_system_is_made_once(kitchen: Path) -> None:
    """Two engines on one machine do not both pay for it; a changed recipe replaces it."""
    tiny = recipe.ImageRecipe("harness-test-tiny", "tiny")
    (kitchen / "rootfs.sh").write_text("echo 'I: extracting archives...' >&2; cat $1; sleep 0.3")
    lines: list[str] = []
    with tiny.alone(lines.append):
        first = tiny.root_tar(lines.append)
        assert first.read_text() == "hello\n"
        assert re.match(r"harness-test-tiny: extracting archives \(\d+ s, 0 MB\)", lines[-1])
        (kitchen / "rootfs.sh").touch()
        assert tiny.root_tar(lines.append) == first
        assert lines[-1].startswith(f"harness-test-tiny: taking {first}")
        (kitchen / "rootfs.sh").write_text("echo anew")
        assert tiny.root_tar(lines.append).read_text() == "anew\n"
    assert not first.exists()


def test_a_root_file_system_that_could_not_be_made_leaves_nothing(
    kitchen: Path, cache: Path
) -> None:
    """Half of one is never kept, and the reason is the one that mmdebstrap gave."""
    tiny = recipe.ImageRecipe("harness-test-tiny", "tiny")
    (kitchen / "rootfs.sh").write_text(
        "cat $1; printf 'E: %s\\n' 'Unable to locate package hello' 'mmdebstrap failed to run' >&2; exit 25"
    )
    with (
        tiny.alone(print),
        pytest.raises(ImageError, match="Unable to locate package hello; try `apt-get up"),
    ):
        tiny.root_tar(print)
    assert [each.name for each in (cache / "images").iterdir()] == ["harness-test-tiny.lock"]


def test_builds_of_one_image_take_turns(kitchen: Path) -> None:
    """Whoever comes second waits, and then takes what the first one made."""
    tiny = recipe.ImageRecipe("harness-test-tiny", "tiny")
    (kitchen / "rootfs.sh").write_text("cat $1")
    waiting, lines = threading.Event(), list[str]()

    def come_second() -> None:
        with tiny.alone(lambda _line: waiting.set()):
            tiny.root_tar(lines.append)

    second = threading.Thread(target=come_second)
    with tiny.alone(print):
        second.start()
        assert waiting.wait(10)
        kept = tiny.root_tar(print)
        assert lines == []
    second.join(10)
    assert lines == [f"harness-test-tiny: taking {kept}; remove it to make it anew"]


def test_an_interrupted_build_stops_its_recipe(kitchen: Path, cache: Path, tmp_path: Path) -> None:
    """Ctrl-C leaves neither half a file nor a process behind."""
    tiny = recipe.ImageRecipe("harness-test-tiny", "tiny")
    (kitchen / "rootfs.sh").write_text(f"echo $$ >{tmp_path}/pid; exec sleep 60")

    def interrupt(_line: str) -> None:
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt

    with tiny.alone(print), pytest.raises(KeyboardInterrupt):
        tiny.root_tar(interrupt)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
    assert [each.name for each in (cache / "images").iterdir()] == ["harness-test-tiny.lock"]


def test_a_fit_image_has_no_problems() -> None:
    assert images.problems(FIT) == []
    assert images.warnings(FIT) == []


@pytest.mark.parametrize("tool", ["setpriv", "head", "stdbuf", "mkfifo", "timeout", "env", "cat"])
def test_each_tool_that_a_run_needs_is_a_problem_when_missing(tool: str) -> None:
    """The line names the tool and says what to install."""
    (line,) = images.problems(replace(FIT, tools=FIT.tools - {tool}))
    assert re.fullmatch(
        rf"no usable {tool}: .*; install (coreutils|util-linux)(, or remove it)?", line
    )


@pytest.mark.parametrize("tool", ["find", "rm", "make", "gcc"])
def test_what_a_run_can_do_without_is_a_warning(tool: str) -> None:
    facts = replace(FIT, tools=FIT.tools - {tool})
    assert images.problems(facts) == []
    (line,) = images.warnings(facts)
    assert line.startswith(f"no usable {tool}: ")


@pytest.mark.parametrize(
    ("tar", "exact", "expected"),
    [
        ("GNU tar 1.34", True, []),
        ("bsdtar 3.8.0", True, []),
        ("GNU tar 1.34", False, ["GNU tar 1.34 cuts stamps"]),
        ("busybox 1.35.0", False, ["busybox 1.35.0 cuts stamps"]),
        ("", False, ["no tar: a source tree could neither enter nor leave"]),
    ],
)
def test_a_tar_is_judged_by_what_it_does_not_by_its_name(
    tar: str, exact: bool, expected: list[str]
) -> None:
    found = images.problems(replace(FIT, tar=tar, exact_tar=exact))
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("tar (GNU tar) 1.34 Copyright (C) 2021", "GNU tar 1.34"),
        ("bsdtar 3.6.2 - libarchive 3.6.2 zlib/1.2.13", "bsdtar 3.6.2"),
        (
            "tar: unrecognized option '--version' BusyBox v1.36.1 (2024) multi-call binary.",
            "busybox 1.36.1",
        ),
        ("tar (busybox) 1.35.0", "busybox 1.35.0"),
        ("toybox 0.8.9", "toybox 0.8.9"),
        ("what?", "a tar of unknown make"),
    ],
)
def test_each_flavour_of_tar_is_known_by_what_it_says(said: str, expected: str) -> None:
    facts = images.ImageFacts.parse("sha256:0", f"tar=1\ntar version= {said}\nend=1\n")
    assert facts.tar == expected


@pytest.mark.parametrize(
    ("packed", "unpacked", "exact"),
    [("1.000000001", "1.000000001", True), ("1.000000001", "1.000000002", False), ("", "", False)],
)
def test_a_stamp_must_come_back_to_the_last_digit(packed: str, unpacked: str, exact: bool) -> None:
    """A tar that cut both stamps to whole seconds says nothing twice: that is no agreement."""
    answers = f"tar=1\ntar version=x\npacked={packed}\nunpacked={unpacked}\nend=1\n"
    assert images.ImageFacts.parse("sha256:0", answers).exact_tar is exact


@pytest.mark.parametrize("folder", ["/sandbox/build", "/sandbox/../sandbox/a/", "/katas/00"])
def test_a_volume_in_the_sandbox_is_a_problem(folder: str) -> None:
    """The run would find a folder of root's there, which it can neither write to nor remove, and
    which does not travel.
    """
    (line,) = images.problems(replace(FIT, volumes=("/data", folder)))
    assert line.startswith(f"its VOLUME {folder} is in the sandbox")


@pytest.mark.parametrize(
    "folder", ["/", "/sandbox", "/sandbox/", "/katas", "/tmp", "/run", "/sandboxes/a", "/data"]
)
def test_a_volume_elsewhere_is_none(folder: str) -> None:
    """What is mounted for a run goes over it."""
    assert images.problems(replace(FIT, volumes=(folder,))) == []


HEADS = {
    "reads-on": "dd bs=4096 count=1 2>/dev/null | { dd bs=1 count=$2 2>/dev/null; cat >/dev/null; }",
    "falls-short": "dd bs=$2 count=1 2>/dev/null | dd bs=$(($2 - 1)) count=1 2>/dev/null",
}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_that_does_not_cut_to_the_byte_is_refused(
    api_with_images: docker.APIClient, head: str
) -> None:
    """A run with it would wait for what it has swallowed."""
    with changed(api_with_images, {"usr/local/bin/head": f"#!/bin/sh\n{HEADS[head]}\n"}) as name:
        found = images.problems(probe(api_with_images, name))
    assert found[0].startswith("no usable head: ")


def test_what_the_image_sets_does_not_rule_the_probe(api_with_images: docker.APIClient) -> None:
    """Its tools are tried as a run uses them: with no variable of the image's. Its VOLUMEs are
    told.
    """
    sets = {
        "TAR_OPTIONS": "--format=gnu",
        "PATH": ".:/nowhere",
        "LD_LIBRARY_PATH": "/here:",
        "LC_ALL": "tlh_KX",
    }
    with changed(api_with_images, {}, [*sets.items()], volume="/sandbox/build") as name:
        facts = probe(api_with_images, name)
    assert facts.exact_tar
    assert facts.volumes == ("/sandbox/build",)
    assert [line.partition(" is in")[0] for line in images.problems(facts)] == [
        "its VOLUME /sandbox/build"
    ]
    assert {line.partition(":")[0] for line in images.warnings(facts)} == {
        "no usable make",
        "no usable gcc",
    }


def test_answers_that_were_cut_are_an_error() -> None:
    """Half of them would read as an image without the other half's tools."""
    with pytest.raises(ImageError, match="the probe ended early"):
        images.ImageFacts.parse("sha256:0", "setpriv=1\nfind=1\n")
