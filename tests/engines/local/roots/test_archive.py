"""Images in files: what `docker save` and OCI write is read, and what is damaged is refused."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.engines.local.roots.archive import StoredImage, open_archive, pump, sha256
from harness.inside.errors import ImageError
from tests.images import (
    config_of,
    entry,
    layout,
    saved,
    tar_of,
    text,
    write_archive,
    write_folder,
)
from tests.support import one_line

LOWER, UPPER = tar_of([text("a", "lower")]), tar_of([text("b", "upper")])

Files = dict[str, bytes]


def read(path: Path, tmp_path: Path) -> list[tuple[StoredImage, list[bytes]]]:
    """All images of a file or folder, with the tars of their layers."""
    with open_archive(path, tmp_path) as images:
        return [
            (image, [_plain(image, n, tmp_path) for n, _ in enumerate(image.layers)])
            for image in images
        ]


def _plain(image: StoredImage, number: int, tmp_path: Path) -> bytes:
    whole = bytearray()
    pump(image.layers[number], whole.extend, tmp_path)
    return bytes(whole)


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-q"], input=content, capture_output=True, check=True).stdout


def refused(path: Path, tmp_path: Path) -> str:
    """Why it is refused, in one line; nothing of it stays in the workshop."""
    workshop = tmp_path / "workshop"
    workshop.mkdir()
    with pytest.raises(ImageError) as error:
        read(path, workshop)
    assert os.listdir(workshop) == []
    workshop.rmdir()
    return one_line(error.value)


def test_what_docker_save_writes_is_read(tmp_path: Path) -> None:
    """Its names, its settings, and its layers, the lowest first; also compressed as a whole."""
    files = saved([LOWER, UPPER], ["small:1", "it/small:2"], Env=["A=1"])
    path = write_archive(tmp_path / "saved.tar", files)
    compressed = tmp_path / "saved.tar.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    for each in (path, compressed):
        [(image, layers)] = read(each, tmp_path)
        assert image.names == ("small:1", "it/small:2")
        assert image.settings() == {"Env": ["A=1"]}
        assert layers == [LOWER, UPPER]


def test_a_layer_that_an_old_docker_save_links_is_read(tmp_path: Path) -> None:
    """It writes a layer that an image has twice once."""
    files = saved([LOWER, LOWER])
    members = [entry(name, content=content) for name, content in files.items()]
    members = [member for member in members if member[0].name != "1/layer.tar"]
    members.append(entry("1/layer.tar", b"2", linkname="../0/layer.tar"))
    path = tmp_path / "saved.tar"
    path.write_bytes(tar_of(members))
    [(_, layers)] = read(path, tmp_path)
    assert layers == [LOWER, LOWER]


def test_a_layout_is_read_as_a_folder_and_as_an_archive(tmp_path: Path) -> None:
    files = layout([LOWER, UPPER], "small:3", Env=["A=1"])
    for path in (
        write_folder(tmp_path / "folder", files),
        write_archive(tmp_path / "archive.tar", files),
    ):
        [(image, layers)] = read(path, tmp_path)
        assert image.names == ("small:3",)
        assert layers == [LOWER, UPPER]


@pytest.mark.parametrize(
    "compress",
    [
        gzip.compress,
        pytest.param(
            zstd, marks=pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is missing")
        ),
    ],
)
def test_a_compressed_layer_is_read(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """Both digests are checked: of what is stored, and of the tar in it."""
    path = write_folder(tmp_path / "folder", layout([LOWER], stored=[compress(LOWER)]))
    [(_, layers)] = read(path, tmp_path)
    assert layers == [LOWER]
    other = write_folder(tmp_path / "other", layout([LOWER], stored=[compress(UPPER)]))
    assert "is damaged: it has the digest" in refused(other, tmp_path)


def test_without_zstd_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    stored = b"\x28\xb5\x2f\xfd not really"
    path = write_folder(tmp_path / "folder", layout([LOWER], stored=[stored]))
    assert refused(path, tmp_path) == "a layer is compressed by zstd; install zstd"


def changed(files: Mapping[str, bytes], beginning: str, content: bytes | None) -> Files:
    """The same files but for the one of this name, which has other content, or is missing."""
    name = next(name for name in files if name.startswith(beginning))
    kept = {each: files[each] for each in files if each != name}
    return kept if content is None else {**kept, name: content}


def manifest(**fields: object) -> bytes:
    return json.dumps([{"Config": "c.json", "RepoTags": [], "Layers": [], **fields}]).encode()


SAVED, LAYOUT = saved([LOWER]), layout([LOWER])
LAYER = f"blobs/sha256/{sha256(LOWER).removeprefix('sha256:')}"
CONFIG = next(name for name in SAVED if name.endswith(".json") and name != "manifest.json")

DAMAGED: dict[str, tuple[Files, str]] = {
    "another layer": (changed(SAVED, "0/layer", UPPER), "it has the digest"),
    "a cut layer": (changed(SAVED, "0/layer", LOWER[:-1]), "it has the digest"),
    "no layer": (changed(SAVED, "0/layer", None), "its layer 0/layer.tar is missing"),
    "another configuration": (changed(SAVED, CONFIG, b"{}"), "is not what its name says"),
    "no configuration": (changed(SAVED, CONFIG, None), f"it lacks {CONFIG}"),
    "a manifest of numbers": (changed(SAVED, "manifest", b"[1]"), "cannot be read"),
    "a manifest that is none": (changed(SAVED, "manifest", b"?"), "manifest.json is no JSON"),
    "a deep manifest": (changed(SAVED, "manifest", b"[" * 100_000), "manifest.json is no JSON"),
    "no images": (changed(SAVED, "manifest", b"[]"), "holds no image for"),
    "a name outside": (
        changed(SAVED, "manifest", manifest(Config="../../etc/passwd")),
        "it lacks ",
    ),
    "no digests": (
        {"c.json": b"{}", "l": LOWER, "manifest.json": manifest(Layers=["l"])},
        "does not name the digest of each layer",
    ),
    "digests of another kind": (
        {
            "c.json": b'{"rootfs": {"diff_ids": 3}}',
            "manifest.json": manifest(),
        },
        "cannot be read",
    ),
    "another machine": (
        {"c.json": b'{"architecture": "pdp11"}', "manifest.json": manifest()},
        "the image is for pdp11, and this machine is",
    ),
    "a long configuration": (
        {"c.json": b" " * (5 << 20), "manifest.json": manifest()},
        "c.json is too long",
    ),
    "another blob": (changed(LAYOUT, LAYER, UPPER), "another digest"),
    "a cut blob": (changed(LAYOUT, LAYER, gzip.compress(LOWER)[:-9]), "is damaged"),
    "no blob": (changed(LAYOUT, LAYER, None), f"its layer {LAYER} is missing"),
    "a blob of no digest": (
        {"index.json": b'{"manifests": [{"digest": "sha256:../../../etc/passwd"}]}'},
        "is no digest by SHA-256",
    ),
    "neither": ({"readme": b""}, "neither the manifest.json of `docker save` nor"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_what_is_damaged_is_refused(what: str, tmp_path: Path) -> None:
    """In one line, with nothing left; in an archive as in a folder."""
    files, why = DAMAGED[what]
    assert why in refused(write_archive(tmp_path / "archive.tar", files), tmp_path)
    if "manifest.json" not in files:
        assert why in refused(write_folder(tmp_path / "folder", files), tmp_path)


Place = tuple[str | int, ...]

ODD = (None, -1, 1.5, True, "x", "", "../..", "\ud800", "a\0b", [], {}, [1], [[]], [{}], {"a": 1})
"""What may stand in a document in the place of anything."""


def places(document: Any, above: Place = ()) -> Iterator[Place]:
    """Where something stands in a JSON document."""
    yield above
    inside: Iterable[tuple[str | int, Any]] = ()
    if isinstance(document, dict):
        inside = document.items()
    elif isinstance(document, list):
        inside = enumerate(document)
    for key, value in inside:
        yield from places(value, (*above, key))


def with_odd_values(document: bytes) -> Iterator[bytes]:
    """The document with each odd value in each place."""
    for place in places(json.loads(document)):
        for odd in ODD:
            changed: Any = {"": json.loads(document)}
            inside, key = changed, ""
            for each in place:
                inside, key = inside[key], each
            inside[key] = odd
            yield json.dumps(changed[""]).encode()


def odd_images() -> Iterator[Files]:
    """Images with an odd value somewhere in one of their documents, whose digests are right."""
    for files, top in ((SAVED, "manifest.json"), (LAYOUT, "index.json")):
        for document in with_odd_values(files[top]):
            yield {**files, top: document}
    for config in with_odd_values(config_of([LOWER], Env=["A=1"])):
        described = {"Config": "c.json", "RepoTags": ["small:1"], "Layers": ["l"]}
        yield {"c.json": config, "l": LOWER, "manifest.json": json.dumps([described]).encode()}
    index = json.loads(LAYOUT["index.json"])
    blob = index["manifests"][0]["digest"].replace("sha256:", "blobs/sha256/")
    for oci in with_odd_values(LAYOUT[blob]):
        index["manifests"][0]["digest"] = digest = sha256(oci)
        name = digest.replace("sha256:", "blobs/sha256/")
        yield {**LAYOUT, name: oci, "index.json": json.dumps(index).encode()}


def test_an_odd_value_anywhere_is_refused_or_does_no_harm(tmp_path: Path) -> None:
    """In one line; what is read has names that can be used."""
    taken = 0
    path = tmp_path / "archive.tar"
    for files in odd_images():
        write_archive(path, files)
        try:
            images = read(path, tmp_path)
            for image, _ in images:
                assert all(isinstance(name, str) and name for name in image.names)
                image.settings()
        except ImageError as error:
            one_line(error)
        else:
            taken += 1
    assert taken


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Nothing, a text, a compressed text, a cut archive, and a file that is not there."""
    whole = write_archive(tmp_path / "whole.tar", SAVED).read_bytes()
    for number, content in enumerate(
        (b"", b"no tar" * 1000, gzip.compress(b"no"), gzip.compress(whole)[:-9], whole[:-12_000])
    ):
        path = tmp_path / f"file {number}"
        path.write_bytes(content)
        assert "no image" in refused(path, tmp_path)
    assert "cannot be read: No such file" in refused(tmp_path / "none", tmp_path)


def test_a_pipe_in_a_layout_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Nor does a symlink lead to a file of the host."""
    path = write_folder(tmp_path / "folder", changed(LAYOUT, LAYER, None))
    os.mkfifo(path / LAYER)
    assert "is no file" in refused(path, tmp_path)
    (path / LAYER).unlink()
    (tmp_path / "secret").write_bytes(LOWER)
    (path / LAYER).symlink_to(tmp_path / "secret")
    assert "cannot be read" in refused(path, tmp_path)


def test_an_index_that_names_itself_is_refused(tmp_path: Path) -> None:
    """By a nest of indexes; their digests do not allow a loop."""
    files = layout([LOWER])
    for _ in range(6):
        index = files["index.json"]
        digest = sha256(index)
        files[f"blobs/sha256/{digest.removeprefix('sha256:')}"] = index
        files["index.json"] = json.dumps({"manifests": [{"digest": digest}]}).encode()
    assert "nested too deep" in refused(write_folder(tmp_path / "folder", files), tmp_path)


def test_of_several_machines_the_image_for_this_one_is_taken(tmp_path: Path) -> None:
    files = layout([LOWER])
    [ours] = json.loads(files["index.json"])["manifests"]
    theirs = {"digest": sha256(b"not there"), "platform": {"architecture": "pdp11", "os": "unix"}}
    files["index.json"] = json.dumps({"manifests": [theirs, ours]}).encode()
    [(image, _)] = read(write_folder(tmp_path / "folder", files), tmp_path)
    assert image.names == ("small:1",)
