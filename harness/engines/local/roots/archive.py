"""Images in files: an OCI layout, as a folder or an archive, and what `docker save` writes.

Each image names its parts by their digests, down to the content of each layer. All of them are
checked, so that the image's own digest vouches for everything that is unpacked.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import platform
import posixpath
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from harness.inside.errors import ImageError

DOCUMENT = 4 << 20
"""Bytes that a manifest or a configuration may have."""

MOST_BYTES, MOST_NAMES = 64 << 30, 4_000_000
"""What an image may hold: many times what any does, but an end to what a few bytes can claim."""

_NESTED = 4
"""How deep indexes of OCI may name others, and how many links of an archive are followed."""

_PIECE = 1 << 20

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""What a compressed layer begins with."""

_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""The annotations of OCI that name an image, the full name first."""

_CONFIGURATIONS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
"""The kinds of configuration that an image has; other artefacts have others."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
"""What images call a machine, where that is not its own name."""


@dataclass(frozen=True)
class StoredLayer:
    """A layer of an image."""

    digest: str
    """The digest of its tar, "sha256:...", not compressed."""

    open: Callable[[], IO[bytes]]
    """Opens what is stored, which may be compressed."""

    stored: str = ""
    """The digest of what is stored. Empty: the archive names none."""


@dataclass(frozen=True)
class StoredImage:
    """An image that can be unpacked."""

    config: bytes
    """Its configuration, a JSON document, whose digest is the image's."""

    layers: Sequence[StoredLayer]
    """Its layers, the lowest first."""

    names: tuple[str, ...] = ()
    """What the archive calls it."""

    @property
    def digest(self) -> str:
        """The image's own digest, "sha256:..."."""
        return sha256(self.config)

    def settings(self) -> Mapping[str, Any]:
        """Return how containers of it are to be set up: Env, Labels and so on."""
        config = parse(self.config, "the configuration of the image").get("config") or {}
        if not isinstance(config, dict):
            raise ImageError("the configuration of the image has no settings that can be read")
        return config


class _Parts(Protocol):
    """The files of an archive or of a folder."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file. Raises KeyError if there is none."""


@contextlib.contextmanager
def open_archive(path: Path, workshop: Path) -> Iterator[list[StoredImage]]:
    """Give the block the images in a folder or file. `workshop` is a folder for what is unpacked.

    Raises ImageError, in the block too, for what is no image or is damaged.
    """
    with contextlib.ExitStack() as stack:
        try:
            if path.is_dir():
                parts: _Parts = _Folder(path)
            else:
                parts = stack.enter_context(_Archive.opened(path, workshop))
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise ImageError(
                f"{path} is no image: it is neither an archive of `docker save` or OCI, nor a "
                f"folder in the layout of OCI ({error})"
            ) from error
        yield _images(parts, path)


def _images(parts: _Parts, path: Path) -> list[StoredImage]:
    """Return all images for this machine. What docker save writes may hold both descriptions."""
    for name, read in (("manifest.json", _saved), ("index.json", _laid_out)):
        try:
            document = _document(parts, name)
        except KeyError:
            continue
        try:
            images = list(read(parts, document))
        except KeyError as error:
            raise ImageError(f"{path} is damaged: it lacks {error.args[0]}") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise ImageError(f"{path} is damaged: its {name} cannot be read ({error})") from error
        if not images:
            raise ImageError(f"{path} holds no image for {_machine()}")
        return images
    raise ImageError(
        f"{path} is no image: it has neither the manifest.json of `docker save` nor the index.json "
        "of OCI"
    )


def _saved(parts: _Parts, manifest: Any) -> Iterator[StoredImage]:
    """Read what docker save wrote."""
    for item in manifest:
        config = _read(parts, item["Config"])
        named = re.search(r"([0-9a-f]{64})(?:\.json)?$", item["Config"])
        if named and sha256(config) != f"sha256:{named[1]}":
            raise ImageError(f"the archive is damaged: {item['Config']} is not what its name says")
        yield _image(
            config,
            [(parts, name, "") for name in item["Layers"]],
            item.get("RepoTags") or (),
        )


def _laid_out(parts: _Parts, index: Any, depth: int = 0) -> Iterator[StoredImage]:
    """Read a layout of OCI: an index of manifests, or of further indexes."""
    if depth > _NESTED:
        raise ImageError("its indexes are nested too deep")
    for item in index["manifests"]:
        wanted = item.get("platform") or {}
        if wanted.get("architecture", _machine()) != _machine():
            continue
        document = _checked(parts, item["digest"])
        names = tuple(
            value for key in _NAMES if (value := (item.get("annotations") or {}).get(key))
        )[:1]
        if "manifests" in document:
            for image in _laid_out(parts, document, depth + 1):
                yield StoredImage(image.config, image.layers, image.names or names)
        elif document["config"].get("mediaType") in _CONFIGURATIONS:
            layers = [
                (parts, _blob(layer["digest"]), layer["digest"]) for layer in document["layers"]
            ]
            config = _read(parts, _blob(document["config"]["digest"]))
            _check(config, document["config"]["digest"])
            yield _image(config, layers, names)


def _image(
    config: bytes, layers: Sequence[tuple[_Parts, str, str]], names: Sequence[str]
) -> StoredImage:
    if isinstance(names, str) or not all(map(names_an_image, names)):
        raise ImageError("the image is damaged: its names are none")
    if not all(isinstance(name, str) for _, name, _ in layers):
        raise ImageError("the image is damaged: its layers are no names of files")
    facts = parse(config, "the configuration of the image")
    architecture = facts.get("architecture") or _machine()
    if architecture != _machine():
        raise ImageError(f"the image is for {architecture}, and this machine is {_machine()}")
    digests = (facts.get("rootfs") or {}).get("diff_ids") or []
    if len(digests) != len(layers) or not all(_DIGEST.fullmatch(str(each)) for each in digests):
        raise ImageError(
            "the image is damaged: its configuration does not name the digest of each layer"
        )

    def opener(parts: _Parts, name: str) -> Callable[[], IO[bytes]]:
        def open_part() -> IO[bytes]:
            try:
                return parts.open(name)
            except KeyError as error:
                raise ImageError(f"the image is damaged: its layer {name} is missing") from error

        return open_part

    return StoredImage(
        config,
        [
            StoredLayer(digest, opener(parts, name), stored)
            for digest, (parts, name, stored) in zip(digests, layers, strict=True)
        ],
        tuple(names),
    )


def pump(layer: StoredLayer, write: Callable[[bytes], object], workshop: Path) -> None:
    """Write a layer's tar, and check its digests at the end. Raises ImageError if one is wrong.

    What was written must then be thrown away.
    """
    content = hashlib.sha256()
    with layer.open() as stored, _checking(stored, layer.stored) as source:
        beginning = source.read(len(_ZSTD))
        whole = _Rewound(beginning, source)
        try:
            with _decompressed(whole, beginning, workshop) as plain:
                while piece := plain.read(_PIECE):
                    content.update(piece)
                    write(piece)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ImageError(f"the layer {layer.digest} is damaged: {error}") from error
        while source.read(_PIECE):
            pass  # what follows the compressed data counts in the digest
    if f"sha256:{content.hexdigest()}" != layer.digest:
        raise ImageError(
            f"the layer {layer.digest} is damaged: it has the digest sha256:{content.hexdigest()}"
        )


@contextlib.contextmanager
def _checking(stored: IO[bytes], digest: str) -> Iterator[Any]:
    """Give the block a reader of the same, whose digest is checked if the block succeeds."""
    if not digest:
        yield stored
        return
    reader = _Hashing(stored)
    yield reader
    if f"sha256:{reader.hash.hexdigest()}" != digest:
        raise ImageError(f"the layer {digest} is damaged: what is stored has another digest")


class _Hashing:
    def __init__(self, source: IO[bytes]) -> None:
        self._source, self.hash = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._source.read(size)
        self.hash.update(piece)
        return piece


class _Rewound:
    """A reader of what has been read already, then of the rest."""

    def __init__(self, beginning: bytes, rest: Any) -> None:
        self._beginning, self._rest = beginning, rest

    def read(self, size: int = -1) -> bytes:
        if self._beginning:
            size = len(self._beginning) if size < 0 else size
            piece, self._beginning = self._beginning[:size], self._beginning[size:]
            return piece
        read: bytes = self._rest.read(size)
        return read


@contextlib.contextmanager
def _decompressed(source: Any, beginning: bytes, workshop: Path) -> Iterator[Any]:
    if beginning.startswith(_GZIP):
        with gzip.GzipFile(fileobj=source) as plain:
            yield plain
    elif beginning == _ZSTD:
        with _zstd(source, workshop) as plain:
            yield plain
    else:
        yield source


@contextlib.contextmanager
def _zstd(source: Any, workshop: Path) -> Iterator[IO[bytes]]:
    """Give the block what the program zstd makes of it; Python has no module for it yet."""
    if not shutil.which("zstd"):
        raise ImageError("a layer is compressed by zstd; install zstd")
    with tempfile.TemporaryFile(dir=workshop) as file:
        _copy(source, file)
        file.seek(0)
        process = subprocess.Popen(
            ["zstd", "--decompress", "--stdout", "--quiet"],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with process:
            assert process.stdout is not None
            yield process.stdout
            process.stdout.close()
        if process.returncode:
            raise EOFError("zstd cannot decompress it")


def _copy(source: Any, file: IO[bytes]) -> None:
    """Copy to the end, but never more than an image may have."""
    while piece := source.read(_PIECE):
        file.write(piece)
        if file.tell() > MOST_BYTES:
            raise ImageError("the archive holds more than an image may")


class _Folder:
    """A folder in the layout of OCI."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, name: str) -> IO[bytes]:
        # A named pipe or a device in its place must not keep us waiting.
        try:
            file = os.open(
                self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except FileNotFoundError as error:
            raise KeyError(name) from error
        except OSError as error:
            raise ImageError(f"{self._path / name} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise ImageError(f"{self._path / name} is no file")
        return open(file, "rb")


class _Archive:
    """A tar with the files of a layout, or those of docker save."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {posixpath.normpath(member.name): member for member in tar}

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path, workshop: Path) -> Iterator[_Archive]:
        with contextlib.ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(path.open("rb"))
            beginning = file.read(len(_ZSTD))
            file.seek(0)
            if beginning.startswith(_GZIP) or beginning == _ZSTD:
                # Unpacked once, because its files are read out of order.
                plain = stack.enter_context(tempfile.TemporaryFile(dir=workshop))
                with _decompressed(file, beginning, workshop) as source:
                    _copy(source, plain)
                plain.seek(0)
                file = plain
            yield cls(stack.enter_context(tarfile.open(fileobj=file, mode="r:")))

    def open(self, name: str) -> IO[bytes]:
        member = self._members[posixpath.normpath(name)]
        # An old docker save replaces a layer that it has written by a link to it.
        for _ in range(_NESTED):
            if not (member.issym() or member.islnk()):
                break
            base = posixpath.dirname(member.name) if member.issym() else ""
            member = self._members[posixpath.normpath(posixpath.join(base, member.linkname))]
        opened = self._tar.extractfile(member) if member.isfile() else None
        if opened is None:
            raise KeyError(name)
        return opened


def _document(parts: _Parts, name: str) -> Any:
    return _parsed(_read(parts, name), name)


def _checked(parts: _Parts, digest: str) -> Any:
    """Read a document of a layout, and check its digest."""
    content = _read(parts, _blob(digest))
    _check(content, digest)
    return parse(content, digest)


def _check(content: bytes, digest: str) -> None:
    if sha256(content) != digest:
        raise ImageError(f"the image is damaged: {digest} has another digest")


def _blob(digest: str) -> str:
    match = _DIGEST.fullmatch(digest)
    if not match:
        raise ImageError(f"the image is damaged: {digest!r} is no digest by SHA-256")
    return f"blobs/sha256/{match[1]}"


def _read(parts: _Parts, name: str) -> bytes:
    with parts.open(name) as file:
        content = file.read(DOCUMENT + 1)
    if len(content) > DOCUMENT:
        raise ImageError(f"the image is damaged: {name} is too long")
    return content


def parse(content: bytes, what: str) -> dict[str, Any]:
    """Return a JSON object. Raises ImageError if it is none."""
    document = _parsed(content, what)
    if not isinstance(document, dict):
        raise ImageError(f"the image is damaged: {what} is no JSON object")
    return document


def _parsed(content: bytes, what: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"the image is damaged: {what} is no JSON") from error


def names_an_image(value: object) -> bool:
    """Return whether a value of JSON can be the name of an image."""
    return isinstance(value, str) and bool(value) and value.isprintable() and " " not in value


def is_variable(value: object) -> bool:
    """Return whether a value of JSON is a text that the environment of a process can hold."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return True


def sha256(content: bytes) -> str:
    """Return the digest as images write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _machine() -> str:
    machine = platform.machine()
    return _MACHINES.get(machine, machine)
