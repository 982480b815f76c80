"""What others wrote, shown to a person as what it is: a name, a reason or an output may hold commands for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # all control characters but tab and line feed: escapes, bells, C1's CSI
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of writing, and so the order of letters
    "\u2028\u2029\ud800-\udfff]"  # other ends of lines; bytes of a name that are no UTF-8
)


def shown(text: str) -> str:
    r"""The text without a single command for a terminal: each is written out, as Python would.

    >>> print(shown("a\x1b[31mb"), shown("10\r9"), shown("caf\udce9"))
    a\x1b[31mb 10\r9 caf\xe9
    """
    return _COMMANDS.sub(_written_out, text)


def shown_name(name: str | bytes) -> str:
    r"""The same of a name, which is in one line whatever it is made of.

    >>> print(shown_name(b"a\nb\xff\tc"))
    a\nb\xff\tc
    """
    text = name.decode(errors="surrogateescape") if isinstance(name, bytes) else name
    return shown(text).replace("\n", r"\n").replace("\t", r"\t")


_COLOURS = re.compile(r"(\x1b\[[0-9;]{0,40}m)")
"""What sets colours alone (ECMA-48, SGR), as compilers and test programs print it."""


def shown_in_colour(text: str) -> str:
    r"""The same of an output: its colours stay, and end with it.

    >>> shown_in_colour("\x1b[31mred\x1b[2J")
    '\x1b[31mred\\x1b[2J\x1b[0m'
    >>> shown_in_colour("plain")
    'plain'
    """
    pieces = _COLOURS.split(text)
    found = "".join(piece if number % 2 else shown(piece) for number, piece in enumerate(pieces))
    return found + "\x1b[0m" if len(pieces) > 1 else found


def write_out(out: TextIO, data: bytes | str) -> None:
    """Write what somebody's program printed, or what holds it: shown, to a person's terminal; as it is, to all else."""
    text = data.decode(errors="replace") if isinstance(data, bytes) else data
    if out.isatty():
        out.write(shown(text))
    elif isinstance(data, bytes) and hasattr(out, "buffer"):
        out.flush()
        out.buffer.write(data)
    else:
        out.write(text)
    out.flush()


class PlainConsole(Console):
    """One that shows every text so, whatever it stands in."""

    def __init__(self, **options: Any) -> None:
        """The options are rich's; nothing is highlighted, and no word becomes a picture."""
        super().__init__(highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(shown(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        return super().render(
            _shown_text(renderable) if isinstance(renderable, Text) else renderable, options
        )


def _shown_text(text: Text) -> Text:
    """With its styles. (rich itself has left out the commands that would move the cursor.)"""
    places = sorted({end for found in _COMMANDS.finditer(text.plain) for end in found.span()})
    if not places:
        return text
    whole = text.blank_copy()
    for piece in text.divide(places):
        piece.plain = shown(piece.plain)
        whole.append_text(piece)
    return whole


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte, as Python keeps it in a name
        return f"\\x{code - 0xDC00:02x}"
    return found[0].encode("unicode_escape").decode()
