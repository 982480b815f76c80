"""Real C projects as source trees, each described by a recipe: a TOML file such as `fixtures/trees/lua.toml`.

A recipe names a Python source distribution (sdist) that ships the C sources, the folder inside to take, the
files to add (`cyber-dojo.sh`, perhaps a build), and an edit with a number in it, whose answer is known.

An sdist is fetched by `pip download`, so that index, certificate, proxy, credentials and cache are those that
the user's pip is configured for. Two things make that safe. `--require-hashes`: pip verifies the SHA-256
before it does anything with the sdist. And since pip prepares the metadata of every sdist it downloads, which
would run the package's `setup.py`, the build is not isolated and finds, in place of setuptools, a stand-in
(`_BACKEND`) that only states name and version. All of it is documented (pip's options, PEP 517), unlike pip's
internals, and a reader of the index of our own would have to repeat pip's configuration. The price: the sdist
must be one for setuptools, and must not bring a build backend of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from harness.errors import TreeError, UsageError
from harness.trees.source import Edit

SCRIPT = "cyber-dojo.sh"

_Kind: TypeAlias = tuple[str, str]  # what a text of a recipe must match, and how to call that
_DIGEST = (r"[0-9a-f]{64}", "64 hexadecimal digits, in lower case")
_WORD = (r"[A-Za-z0-9]([A-Za-z0-9._+-]*[A-Za-z0-9])?", "letters, digits and inner . _ + -")
_PATH = (r"(?!/|.*//|(.*/)?\.\.?(/|\Z))[^\\\x00-\x1f]+(?<!/)", "a path that stays in its folder")
_TEXT = (r"(?s:.+)", "a text")
_NUMBERED = (r"(?s:.*\{n\}.*)", "a text with {n} in it")
_ANSWER = (r"answer: .+", 'one line that starts with "answer: "')
_NUMBERED_ANSWER = (r"answer: .*\{n\}.*", 'one line that starts with "answer: ", with {n} in it')

_TOP = {"name": _WORD, "licence": _TEXT, "answer": _ANSWER}
_SOURCE = {"distribution": _WORD, "version": _WORD, "sha256": _DIGEST, "folder": _PATH}
_EDIT = {"path": _PATH, "find": _TEXT, "replace": _NUMBERED, "answer": _NUMBERED_ANSWER}

# -P: whatever lies in the current folder is not imported.
_PIP = (
    *("-P", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--no-binary=:all:"),
    *("--require-hashes", "--use-pep517", "--no-build-isolation"),
)
_BACKEND = """\
import pathlib, sys

__legacy__ = sys.modules[__name__]

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "{name}-{version}.dist-info")
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return info.name
"""
"""Stands in for `setuptools.build_meta` (PEP 517); pip takes `__legacy__` if there is no pyproject.toml."""


@dataclass(frozen=True)
class Sdist:
    """Where the sources come from."""

    distribution: str
    version: str
    sha256: str
    folder: str  # below the sdist's top folder


@dataclass(frozen=True)
class Change:
    """What an edit does; "{n}" in `replace` and `answer` stands for its number."""

    path: str
    find: str  # occurs once in the file, as fetched
    replace: str
    answer: str


@dataclass(frozen=True)
class Recipe:
    """What a recipe says; every path is relative, with "/" between folders."""

    name: str
    licence: str  # of the upstream project, an SPDX expression
    answer: str  # last line that the unedited tree prints
    source: Sdist
    omit: tuple[str, ...]  # files and folders of `source.folder` to leave out
    files: Mapping[str, str]  # path to text, added to the fetched ones
    change: Change


def load(path: Path) -> Recipe:
    """The recipe at `path`; raises UsageError, with the place, if it cannot be read or is not valid."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # of the encoding or of TOML
        raise UsageError(f"{path}: {error}") from error
    source, omit, files, change = (data.pop(key, None) for key in ("source", "omit", "files", "edit"))
    if not isinstance(omit, list):
        raise UsageError(f"{path}: omit: expected a list of paths")
    if not isinstance(files, dict) or SCRIPT not in files:
        raise UsageError(f"{path}: files: {SCRIPT} is missing")
    kinds = {_text(key, f"{path}: files: {key!r}", _PATH): _TEXT for key in files}
    return Recipe(
        **_texts(data, f"{path}", _TOP),
        source=Sdist(**_texts(source, f"{path}: source", _SOURCE)),
        omit=tuple(_text(each, f"{path}: omit: {each!r}", _PATH) for each in omit),
        files=MappingProxyType(_texts(files, f"{path}: files", kinds)),
        change=Change(**_texts(change, f"{path}: edit", _EDIT)),
    )


def pip_download(source: Sdist, folder: Path) -> Path:
    """The sdist, downloaded into `folder`, nothing of it run; raises TreeError with pip's reason."""
    target, requirements, stand_in = folder / "sdist", folder / "requirements.txt", folder / "stand-in"
    package = stand_in / "setuptools"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").touch()  # without it, an installed setuptools would come first
    package.joinpath("build_meta.py").write_text(
        _BACKEND.format(name=source.distribution.replace("-", "_"), version=source.version)
    )
    requirements.write_text(f"{source.distribution}=={source.version} --hash=sha256:{source.sha256}\n")
    pip = subprocess.run(
        [sys.executable, *_PIP, f"--dest={target}", f"--requirement={requirements}"],
        env=os.environ | {"PYTHONPATH": str(stand_in.resolve())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if pip.returncode:
        raise TreeError(f"pip cannot fetch {source.distribution} {source.version}: {_reason(pip.stderr)}")
    return next(target.iterdir())


def fetch(
    recipe: Recipe,
    cache: Path,
    report: Callable[[str], None],
    download: Callable[[Sdist, Path], Path] = pip_download,
) -> Path:
    """The recipe's sdist in `cache`; `download` brings it to a given folder unless it is there, and whole.

    Raises TreeError if it cannot be had or kept, or is not the one whose SHA-256 the recipe has.
    """
    source = recipe.source
    title = f"{source.distribution} {source.version}"
    kept = cache / f"{source.distribution}-{source.version}-{source.sha256[:16]}.sdist"
    try:
        if kept.exists():
            if _sha256(kept) == source.sha256:
                return kept
            report(f"{kept} is torn or a wrong file")
        report(f"fetching {title}, which ships the sources of {recipe.name}")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:  # in the cache, so that the rename is atomic
            fetched = download(source, Path(folder))
            if (found := _sha256(fetched)) != source.sha256:
                raise TreeError(f"{title} has the SHA-256 {found}, but the recipe wants {source.sha256}")
            fetched.replace(kept)
    except OSError as error:
        raise TreeError(f"cannot keep {title} in the cache {cache}: {error}") from error
    return kept


def write(recipe: Recipe, sdist: Path, folder: Path) -> None:
    """Lays the unedited tree into `folder`.

    Raises TreeError if the sdist is damaged, has members that would leave the folder, or cannot be written;
    UsageError if it does not have the folder that the recipe wants.
    """
    taken = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(sdist) as archive:
            for member in archive:
                if path := _placed(recipe, member.name):
                    if not (member.isfile() or member.isdir()):  # links could point outside
                        raise TreeError(f"{sdist}: {member.name} is neither a file nor a folder")
                    archive.extract(member.replace(name=path, deep=False), folder, filter="data")
                    taken += 1
        for path, text in recipe.files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
            file.chmod(0o755 if path == SCRIPT else 0o644)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise TreeError(f"cannot write {recipe.name} from {sdist} to {folder}: {error}") from error
    if not taken:
        raise UsageError(f"recipe {recipe.name}: the sdist has no folder {recipe.source.folder}")


def edit(recipe: Recipe, original: bytes, number: int) -> Edit:
    """Edit `number`, from 1 on, of the file whose unedited content is `original`.

    Raises UsageError if the recipe's text to find is not there exactly once.
    """
    change, digits = recipe.change, str(number)
    found = original.count(change.find.encode())
    if found != 1:
        raise UsageError(f"recipe {recipe.name}: edit.find occurs {found} times in {change.path}, not once")
    content = original.replace(change.find.encode(), change.replace.replace("{n}", digits).encode())
    return Edit(change.path, content, change.answer.replace("{n}", digits))


class RecipeTree:
    """A `SourceTree` made of a recipe and its fetched sdist; its methods raise what `write` and `edit` do."""

    def __init__(self, recipe: Recipe, sdist: Path) -> None:
        self.name = recipe.name
        self.answer: str | None = recipe.answer
        self._recipe = recipe
        self._sdist = sdist

    def write(self, folder: Path) -> None:
        write(self._recipe, self._sdist, folder)

    def edit(self, number: int) -> Edit:
        return edit(self._recipe, self._original, number)

    @cached_property
    def _original(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            self.write(Path(folder))
            file = Path(folder, self._recipe.change.path)
            if not file.is_file():
                raise UsageError(f"recipe {self.name}: edit.path: no file {self._recipe.change.path}")
            return file.read_bytes()


def _placed(recipe: Recipe, member: str) -> str:
    """Where a member of the sdist goes in the tree; empty: nowhere."""
    _, _, below = member.partition("/")  # an sdist has one top folder, NAME-VERSION
    path = below.removeprefix(f"{recipe.source.folder}/")
    left_out = path == below or any(f"{path}/".startswith(f"{each}/") for each in recipe.omit)
    return "" if left_out else path


def _texts(table: object, place: str, kinds: Mapping[str, _Kind]) -> dict[str, str]:
    """The texts of a table that has these keys and no others."""
    found = table if isinstance(table, dict) else {}
    if odd := sorted(found.keys() ^ kinds.keys()):
        raise UsageError(f"{place}: {odd[0]} is {'missing' if odd[0] in kinds else 'unknown'}")
    return {key: _text(found[key], f"{place}: {key}", kind) for key, kind in kinds.items()}


def _text(value: object, place: str, kind: _Kind) -> str:
    pattern, meaning = kind
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise UsageError(f"{place}: expected {meaning}")
    return value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(log: str) -> str:
    """Why pip failed, in one line; its errors do not tell an index out of reach from a missing version."""
    if broken := re.search(r"connection broken by '(.*)': ", log):
        return f"no answer from the package index, see the network and `pip config list` ({broken[1]})"
    lines = log.splitlines() or ["it does not say why"]
    return next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
