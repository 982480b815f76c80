"""Real C projects as source trees, each described by a recipe such as `fixtures/trees/lua.toml`.

A recipe is a TOML file. It names a Python source distribution (sdist) that ships the C sources, the
folder to take from it, the files to add (`cyber-dojo.sh`, perhaps a Makefile), and a numbered edit
whose answer is known.
"""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from harness.inside.errors import TreeError, UsageError
from harness.measure.trees.own_tree import lengthened
from harness.measure.trees.sdist import Sdist
from harness.measure.trees.source import TreeEdit

_SCRIPT = "cyber-dojo.sh"

_Kind: TypeAlias = tuple[str, str]
"""The pattern that a text of a recipe must match, and a name for it."""

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


@dataclass(frozen=True)
class _Change:
    """What an edit does; "{n}" in `replace` and `answer` stands for its number."""

    path: str
    """The file to edit."""
    find: str
    """Text that occurs once in the file, as fetched."""
    replace: str
    """What takes its place."""
    answer: str
    """The last line that the program prints after the edit."""


@dataclass(frozen=True)
class TreeRecipe:
    """What a recipe says; every path is relative, with "/" between folders."""

    name: str
    """The name of the tree."""
    licence: str
    """The licence of the upstream project, an SPDX expression."""
    answer: str
    """The last line that the unedited tree prints."""
    source: Sdist
    """Where the sources come from."""
    omit: tuple[str, ...]
    """Files and folders of `source.folder` to leave out."""
    files: Mapping[str, str]
    """Files to add: path to text."""
    change: _Change
    """The edit of a source."""
    header: str | None = None
    """A file that many objects depend on, and that may end in empty lines."""


def load_recipe(path: Path) -> TreeRecipe:
    """Load the recipe at `path`. Raises UsageError, with the place, if it is not valid."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # of the encoding or of TOML
        raise UsageError(f"{path}: {error}") from error
    source, omit, files, change, header = (
        data.pop(key, None) for key in ("source", "omit", "files", "edit", "header")
    )
    if not isinstance(omit, list):
        raise UsageError(f"{path}: omit: expected a list of paths")
    if not isinstance(files, dict) or _SCRIPT not in files:
        raise UsageError(f"{path}: files: {_SCRIPT} is missing")
    kinds = {_text(key, f"{path}: files: {key!r}", _PATH): _TEXT for key in files}
    return TreeRecipe(
        **_texts(data, f"{path}", _TOP),
        source=Sdist(**_texts(source, f"{path}: source", _SOURCE)),
        omit=tuple(_text(omitted, f"{path}: omit: {omitted!r}", _PATH) for omitted in omit),
        files=MappingProxyType(_texts(files, f"{path}: files", kinds)),
        change=_Change(**_texts(change, f"{path}: edit", _EDIT)),
        header=None if header is None else _text(header, f"{path}: header", _PATH),
    )


def write_tree(recipe: TreeRecipe, sdist: Path, folder: Path) -> None:
    """Write the unedited tree into `folder`.

    Raises TreeError if the sdist is damaged, has members outside the folder, or the tree cannot be
    written, and UsageError if the sdist lacks the folder that the recipe names.
    """
    taken = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(sdist) as archive:
            for member in archive:
                if path := _placed(recipe, member.name):
                    if not (member.isfile() or member.isdir()):  # links could point outside
                        raise TreeError(f"{sdist}: {member.name} is neither a file nor a folder")
                    _extract(archive, member, folder, path)
                    taken += 1
        for path, text in recipe.files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
            file.chmod(0o755 if path == _SCRIPT else 0o644)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise TreeError(f"cannot write {recipe.name} from {sdist} to {folder}: {error}") from error
    if not taken:
        raise UsageError(f"recipe {recipe.name}: the sdist has no folder {recipe.source.folder}")


def edit(recipe: TreeRecipe, original: bytes, number: int) -> TreeEdit:
    """Return edit `number`, from 1 on, of the file whose unedited content is `original`.

    Raises UsageError unless the recipe's text to find occurs exactly once.
    """
    change, digits = recipe.change, str(number)
    count = original.count(change.find.encode())
    if count != 1:
        raise UsageError(
            f"recipe {recipe.name}: edit.find occurs {count} times in {change.path}, not once"
        )
    content = original.replace(change.find.encode(), change.replace.replace("{n}", digits).encode())
    return TreeEdit(change.path, content, change.answer.replace("{n}", digits))


class RecipeTree:
    """The tree of a recipe and its fetched sdist; methods raise what `write_tree` and `edit` do."""

    def __init__(self, recipe: TreeRecipe, sdist: Path) -> None:
        self.name = recipe.name
        self.answer: str | None = recipe.answer
        self._recipe = recipe
        self._sdist = sdist

    def write(self, folder: Path) -> None:
        write_tree(self._recipe, self._sdist, folder)

    def edit(self, number: int, *, headers: int = 0) -> TreeEdit:
        return edit(self._recipe, self._originals[self._recipe.change.path], number)

    def edit_header(self, number: int, *, sources: int = 0) -> TreeEdit:
        """Return the header with one or two empty lines at its end, by turns.

        Every object that includes it is compiled again; the answer stays the same.
        """
        path = self._recipe.header
        if path is None:
            raise UsageError(f"recipe {self.name} names no header to edit; add header = PATH to it")
        answer = self.edit(sources).answer if sources else self.answer
        return lengthened(TreeEdit(path, self._originals[path], answer), number)

    @cached_property
    def _originals(self) -> dict[str, bytes]:
        """The unedited contents of the files that are edited."""
        contents = {}
        with tempfile.TemporaryDirectory() as folder:
            self.write(Path(folder))
            for key, path in (
                ("edit.path", self._recipe.change.path),
                ("header", self._recipe.header),
            ):
                if path is not None:
                    if not (file := Path(folder, path)).is_file():
                        raise UsageError(f"recipe {self.name}: {key}: no file {path}")
                    contents[path] = file.read_bytes()
        return contents


def _placed(recipe: TreeRecipe, member: str) -> str:
    """Return where a member of the sdist goes in the tree; empty for nowhere."""
    _, _, below = member.partition("/")  # an sdist has one top folder, NAME-VERSION
    path = below.removeprefix(f"{recipe.source.folder}/")
    left_out = path == below or any(f"{path}/".startswith(f"{omitted}/") for omitted in recipe.omit)
    return "" if left_out else path


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, path: str) -> None:
    """Extract one member, since tarfile is safe only from Python 3.11.4. Raises TreeError."""
    target = folder / path
    if ".." in target.relative_to(folder).parts or Path(path).is_absolute():
        raise TreeError(f"the sdist is hostile: {member.name} lies outside its folder")
    content = archive.extractfile(member)
    if content is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("wb") as out:
        shutil.copyfileobj(content, out)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _texts(table: object, place: str, kinds: Mapping[str, _Kind]) -> dict[str, str]:
    """Return the texts of a table that has exactly these keys."""
    texts = table if isinstance(table, dict) else {}
    if odd := sorted(texts.keys() ^ kinds.keys()):
        raise UsageError(f"{place}: {odd[0]} is {'missing' if odd[0] in kinds else 'unknown'}")
    return {key: _text(texts[key], f"{place}: {key}", kind) for key, kind in kinds.items()}


def _text(value: object, place: str, kind: _Kind) -> str:
    pattern, meaning = kind
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise UsageError(f"{place}: expected {meaning}")
    return value
