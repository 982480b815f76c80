"""Text from elsewhere, made safe for a terminal.

A name, a reason or an output may hold commands that a terminal would obey; they are written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_COMMANDS = re.compile(
    # All control characters but tab and line feed: escapes, bells, the CSI of C1.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    # What changes the direction of writing, and with it the order of letters.
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    # Other line ends, and bytes of a name that are not UTF-8.
    "\u2028\u2029\ud800-\udfff]"
)


def shown(text: str) -> str:
    r"""Write out each terminal command in the text as Python would.

    >>> print(shown("a\x1b[31mb"), shown("10\r9"), shown("caf\udce9"))
    a\x1b[31mb 10\r9 caf\xe9
    """
    return _COMMANDS.sub(_written_out, text)


def shown_name(name: str | bytes) -> str:
    r"""Write out a name in the same way, and always in one line.

    >>> print(shown_name(b"a\nb\xff\tc"))
    a\nb\xff\tc
    """
    text = name.decode(errors="surrogateescape") if isinstance(name, bytes) else name
    return shown(text).replace("\n", r"\n").replace("\t", r"\t")


_COLOURS = re.compile(r"(\x1b\[[0-9;]{0,40}m)")
"""Commands that only set colours (ECMA-48, SGR), as compilers and test programs print them."""


def shown_in_colour(text: str) -> str:
    r"""Write out an output in the same way, but keep its colours and reset them at the end.

    >>> shown_in_colour("\x1b[31mred\x1b[2J")
    '\x1b[31mred\\x1b[2J\x1b[0m'
    >>> shown_in_colour("plain")
    'plain'
    """
    pieces = _COLOURS.split(text)
    text_shown = "".join(
        piece if number % 2 else shown(piece) for number, piece in enumerate(pieces)
    )
    return text_shown + "\x1b[0m" if len(pieces) > 1 else text_shown


def write_out(out: TextIO, data: bytes | str) -> None:
    """Write a program's output, with terminal commands written out if `out` is a terminal."""
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
    """A console that writes out terminal commands in every text."""

    def __init__(self, **options: Any) -> None:
        """Takes rich's options; nothing is highlighted, and no word becomes an emoji."""
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
    """Write out commands, keep styles. (rich itself has dropped commands that move the cursor.)"""
    places = sorted({end for command in _COMMANDS.finditer(text.plain) for end in command.span()})
    if not places:
        return text
    whole = text.blank_copy()
    for piece in text.divide(places):
        piece.plain = shown(piece.plain)
        whole.append_text(piece)
    return whole


def _written_out(command: re.Match[str]) -> str:
    code = ord(command[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name, as surrogateescape keeps it
        return f"\\x{code - 0xDC00:02x}"
    return command[0].encode("unicode_escape").decode()
