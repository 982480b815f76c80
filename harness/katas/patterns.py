"""Patterns of .gitignore, tried in a time that grows with the name's length, not with its power.

They mean what they mean to git (gitignore(5), and wildmatch.c where that says nothing): what stands
after a `*` or a `**/` is sought from left to right, and the first match is taken. Any later one
leaves less for the rest, so no other is tried.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from harness.inside.descent import LONGEST

_ANY, _FOLDERS, _FOLDERS_ABOVE, _ALL = "*", "**/", "**\\/", "**"
"""What matches more than one character: the second may match nothing, the third may not."""

_Token = str | frozenset[int]
"""One of those, or the bytes that one character of a name may be."""

_SLASH = ord("/")

_EVERY = frozenset(range(1, 256)) - {_SLASH}

_BETWEEN = {
    "alpha": "AZaz", "upper": "AZ", "lower": "az", "digit": "09", "alnum": "09AZaz",
    "xdigit": "09AFaf", "blank": "\t\t  ", "space": "\t\n\r\r  ", "cntrl": "\x01\x1f\x7f\x7f",
    "print": " ~", "graph": "!~", "punct": "!/:@[`{~",
}  # fmt: skip
"""First and last byte of each range of git's character classes, which are those of ASCII."""


class Malformed(ValueError):
    """A pattern that matches nothing, because a `[` or a backslash in it is left open."""


class Pattern:
    """One pattern."""

    def __init__(self, text: bytes) -> None:
        """Read it as git does, after the spaces at the end of its line have been removed.

        Raises Malformed.
        """
        self.excludes = not text.startswith(b"!")
        text = text[not self.excludes :]
        self._folders_only = text.endswith(b"/")
        text = text[: len(text) - self._folders_only]
        self._by_last_part = b"/" not in text
        # Whether it names all that is in some folder, but not that folder.
        self.of_contents = text.endswith((b"/*", b"/**")) and not self._folders_only
        if text.startswith(b"/"):
            text = text[1:]
        self._matches = re.compile(_expression(_tokens(text)), re.DOTALL).fullmatch

    def names(self, path: bytes, last: bytes, *, is_folder: bool) -> bool:
        """Return whether it names this path, whose last part is `last`."""
        if self._folders_only and not is_folder:
            return False
        return self._matches(last if self._by_last_part else path) is not None


class Patterns:
    """Patterns of one file, or of one command line; the last one that names a path decides."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """Read one pattern a line; one that is malformed matches nothing, as in git."""
        self.patterns: list[Pattern] = []
        for line in lines:
            try:
                self.patterns.append(Pattern(line))
            except Malformed:
                continue
        self.patterns.reverse()

    def excludes(self, path: bytes, *, is_folder: bool) -> bool | None:
        """Return whether a path is excluded; None if no pattern names it."""
        last = path.rpartition(b"/")[2]
        for pattern in self.patterns:
            if pattern.names(path, last, is_folder=is_folder):
                return pattern.excludes
        return None

    def excludes_contents(self, folder: bytes) -> bool:
        """Return whether the last pattern that names all in a folder, but not it, excludes that."""
        path = folder + b"/x"
        return next(
            (
                pattern.excludes
                for pattern in self.patterns
                if pattern.of_contents and pattern.names(path, b"x", is_folder=False)
            ),
            False,
        )


def lines_of(text: bytes) -> Iterator[bytes]:
    """Yield the patterns in the text of a .gitignore, without its comments.

    Some editors begin a file with a byte order mark, and git skips it.
    """
    for line in text.removeprefix(codecs.BOM_UTF8).split(b"\n"):
        if line and not line.startswith(b"#"):
            # For git, a text ends at a zero byte.
            yield _without_spaces(line.removesuffix(b"\r").partition(b"\0")[0])


def _without_spaces(line: bytes) -> bytes:
    """Return a line without the spaces at its end, of which a backslash before one keeps it."""
    short = line.rstrip(b" ")
    escaped = (len(short) - len(short.rstrip(b"\\"))) % 2
    return line[: len(short) + 1] if escaped and len(line) > len(short) else short


def _tokens(text: bytes) -> list[_Token]:
    """Take a pattern apart. Raises Malformed."""
    tokens: list[_Token] = []
    # To git, what follows the part without wildcards stands at the beginning, as after a slash.
    place, literal, after_slash = 0, True, True
    while place < len(text):
        byte = text[place : place + 1]
        if byte == b"*":
            end = place
            while text[end : end + 1] == b"*":
                end += 1
            token, place = _stars(text, place, end, between=after_slash or literal)
            if token == _FOLDERS_ABOVE or tokens[-1:] != [token]:
                tokens.append(token)
        elif byte == b"[":
            allowed, place = _class(text, place + 1)
            tokens.append(allowed)
        elif byte == b"?":
            tokens.append(_EVERY)
            place += 1
        else:
            place += byte == b"\\"
            if place == len(text):
                raise Malformed
            tokens.append(frozenset(text[place : place + 1]))
            place += 1
        literal = literal and byte not in (b"*", b"?", b"[", b"\\")
        after_slash = text[place - 1 : place] == b"/"
    return tokens


def _stars(text: bytes, start: int, end: int, *, between: bool) -> tuple[str, int]:
    """Return what the stars from `start` to `end` mean, and where the rest begins."""
    if end - start > 1 and between:
        if end == len(text):
            return _ALL, end
        for separator, token in ((b"/", _FOLDERS), (b"\\/", _FOLDERS_ABOVE)):
            if text.startswith(separator, end):
                return token, end + len(separator)
    return _ANY, end


def _class(text: bytes, place: int) -> tuple[frozenset[int], int]:
    """Return what the `[...]` allows whose inside begins here, and where the rest begins.

    Raises Malformed.
    """
    negated = text[place : place + 1] in (b"!", b"^") and place < len(text)
    place += negated
    allowed: set[int] = set()
    before, first = 0, True
    while first or text[place : place + 1] != b"]":
        first = False
        byte, after = _at(text, place), text[place + 1 : place + 2]
        if byte == ord("-") and before and after and after != b"]":
            place += 1
            if after == b"\\":
                place += 1
            allowed.update(range(before, _at(text, place) + 1))
            before = 0
        elif byte == ord("[") and after == b":":
            end = text.find(b"]", place + 2)
            if end < 0:
                raise Malformed
            if end > place + 2 and text[end - 1 : end] == b":":
                allowed.update(_posix(text[place + 2 : end - 1]))
                place, before = end, 0
            else:
                allowed.add(byte)
                before = byte
        else:
            if byte == ord("\\"):
                place += 1
                byte = _at(text, place)
            allowed.add(byte)
            before = byte
        place += 1
    return (_EVERY - allowed if negated else frozenset(allowed - {_SLASH})), place + 1


def _at(text: bytes, place: int) -> int:
    if place >= len(text):
        raise Malformed
    return text[place]


def _posix(name: bytes) -> set[int]:
    """Return the bytes of a class like `[:alpha:]`. Raises Malformed."""
    ranges = _BETWEEN.get(name.decode("latin-1"))
    if ranges is None:
        raise Malformed
    ends = ranges.encode()
    return {
        byte
        for first, last in zip(ends[::2], ends[1::2], strict=True)
        for byte in range(first, last + 1)
    }


def _expression(tokens: list[_Token]) -> bytes:
    """Return the regular expression of a pattern; none of its parts is tried in two ways."""
    if sum(isinstance(token, frozenset) or token == _FOLDERS_ABOVE for token in tokens) > LONGEST:
        # No path is that long.
        return _NOTHING
    *blocks, last = _split(tokens, (_FOLDERS, _FOLDERS_ABOVE))
    if not blocks:
        return _parts(last[1])
    parts = []
    for opening, block in blocks:
        body = _parts(block)
        parts.append(_sought(opening, body) if opening else body)
    return b"".join(parts) + _sought(last[0], _parts(last[1]) + rb"\Z")


_NOTHING = b"(?!)"

_SKIPPED = {_FOLDERS: b"(?:[^/]*/)*?", _FOLDERS_ABOVE: b"(?:[^/]*/)+?"}


def _sought(opening: str, body: bytes) -> bytes:
    return b"(?>%b%b)" % (_SKIPPED[opening], body)


def _split(tokens: Iterable[_Token], openings: tuple[str, ...]) -> list[tuple[str, list[_Token]]]:
    """Split tokens before each of these; the first part has no opening."""
    parts: list[tuple[str, list[_Token]]] = [("", [])]
    for token in tokens:
        if isinstance(token, str) and token in openings:
            parts.append((token, []))
        else:
            parts[-1][1].append(token)
    return parts


def _parts(tokens: list[_Token]) -> bytes:
    """Return the expression of what has no `**/`: a `*` stays within one part of the path."""
    found, part = [], list[_Token]()
    for token in [*tokens, _ALL]:
        if token in (_ALL, frozenset((_SLASH,))):
            found.append(_part(part))
            part = []
            if token != _ALL:
                found.append(b"/")
        else:
            part.append(token)
    return b"".join(found) + (b".*" if _ALL in tokens else b"")


def _part(tokens: list[_Token]) -> bytes:
    """Return the expression of one part of a path.

    What follows a star is sought from the left, and after the last star from the right.
    """
    (_, begins), *rest = _split(tokens, (_ANY,))
    found = [_characters(begins)]
    for place, (_, characters) in enumerate(rest):
        how = b"(?>[^/]*%b)" if place == len(rest) - 1 else b"(?>[^/]*?%b)"
        found.append(how % _characters(characters))
    return b"".join(found)


def _characters(tokens: list[_Token]) -> bytes:
    return b"".join(_one_of(token) for token in tokens if isinstance(token, frozenset))


@lru_cache(maxsize=1 << 10)
def _one_of(allowed: frozenset[int]) -> bytes:
    """Return the expression of one character."""
    if not allowed:
        return _NOTHING
    if allowed == _EVERY:
        return b"[^/]"
    members = b"".join(re.escape(bytes((byte,))) for byte in sorted(allowed))
    return members if len(allowed) == 1 else b"[%b]" % members
