"""Small images, made in a test: layers, the archives that hold them, and one that a run can use."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.engines.local.roots.archive import StoredImage, StoredLayer, sha256

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

PROGRAMS = (
    *("sh", "env", "setpriv", "cat", "ls", "id", "touch", "rm", "mkdir", "xargs", "stat", "getent"),
    *("tar", "head", "stdbuf", "mkfifo", "timeout", "sleep", "find", "wc"),
)
"""The programs of this machine that `usable` holds: those that a run and a test need."""

EXTRAS = ("/usr/libexec/coreutils/libstdbuf.so", "/usr/lib/locale/C.utf8/LC_CTYPE")
"""What else Docker's guest needs, and the length of a text in UTF-8."""

Member = tuple[tarfile.TarInfo, bytes]


def entry(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: Any) -> Member:
    """A member of a layer; `fields` are those of a TarInfo."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def text(name: str, content: str = "", **fields: Any) -> Member:
    return entry(name, content=content.encode(), **fields)


def folder(name: str, **fields: Any) -> Member:
    return entry(name, tarfile.DIRTYPE, **fields)


def symlink(name: str, target: str) -> Member:
    return entry(name, tarfile.SYMTYPE, linkname=target)


def hard_link(name: str, target: str) -> Member:
    return entry(name, tarfile.LNKTYPE, linkname=target)


def tar_of(members: Iterable[Member]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return whole.getvalue()


def config_of(layers: Sequence[bytes], **settings: Any) -> bytes:
    """The configuration of an image, with settings such as Env."""
    document = {
        "architecture": MACHINE,
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
    }
    return json.dumps(document).encode()


def image_of(*layers: Sequence[Member], **settings: Any) -> StoredImage:
    """An image in memory."""
    tars = [tar_of(layer) for layer in layers]
    return StoredImage(
        config_of(tars, **settings),
        [StoredLayer(sha256(tar), functools.partial(io.BytesIO, tar)) for tar in tars],
    )


def write_archive(path: Path, files: Mapping[str, bytes]) -> Path:
    path.write_bytes(tar_of(entry(name, content=content) for name, content in files.items()))
    return path


def saved(
    layers: Sequence[bytes], names: Sequence[str] = ("small:1",), **settings: Any
) -> dict[str, bytes]:
    """The files of what `docker save` writes."""
    config = config_of(layers, **settings)
    digest = hashlib.sha256(config).hexdigest()
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": f"{digest}.json", "RepoTags": list(names), "Layers": paths}]
    return {
        f"{digest}.json": config,
        **dict(zip(paths, layers, strict=True)),
        "manifest.json": json.dumps(manifest).encode(),
    }


def layout(
    layers: Sequence[bytes],
    name: str = "small:1",
    stored: Sequence[bytes] = (),
    **settings: Any,
) -> dict[str, bytes]:
    """The files of a layout of OCI. `stored` are the layers as they are stored, if compressed."""
    blobs: dict[str, bytes] = {}

    def add(content: bytes, kind: str) -> dict[str, Any]:
        digest = sha256(content)
        blobs[f"blobs/sha256/{digest.removeprefix('sha256:')}"] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    kind = "application/vnd.oci.image"
    config = add(config_of(layers, **settings), f"{kind}.config.v1+json")
    described = [add(layer, f"{kind}.layer.v1.tar") for layer in stored or layers]
    manifest = {"schemaVersion": 2, "config": config, "layers": described}
    top = add(json.dumps(manifest).encode(), f"{kind}.manifest.v1+json")
    top["annotations"] = {"org.opencontainers.image.ref.name": name}
    index = {"schemaVersion": 2, "manifests": [top]}
    return {
        **blobs,
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(index).encode(),
    }


def write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@functools.cache
def usable() -> tuple[Member, ...]:
    """A layer with a few programs of this machine, and the libraries that they need."""
    members: dict[str, Member] = {}
    for program in PROGRAMS:
        path = shutil.which(program)
        assert path, f"this machine has no {program}"
        members[f"bin/{program}"] = _copied(f"bin/{program}", path)
        for library in re.findall(r"(/\S+) \(0x", _libraries(path)):
            members[library] = _copied(library, library)
    for extra in EXTRAS:
        if os.path.exists(extra):
            members[extra] = _copied(extra, extra)
    members["etc/passwd"] = text("etc/passwd", "nobody:x:65534:65534:nobody:/:/bin/false\n")
    return tuple(members.values())


def _copied(name: str, path: str) -> Member:
    return entry(name, content=Path(path).read_bytes(), mode=0o755)


def _libraries(program: str) -> str:
    done = subprocess.run(
        ["ldd", os.path.realpath(program)], capture_output=True, text=True, check=False
    )
    return done.stdout
