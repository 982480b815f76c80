"""Markdown whose text shows unchanged, whatever it holds."""

from __future__ import annotations


def escape_markdown(text: str) -> str:
    """Escape text so that it shows unchanged and stays in its cell.

    >>> print(escape_markdown("a|b <c>"))
    a\\|b \\<c\\>
    """
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())


def table_row(*cells: str) -> str:
    """Return a row of a table with these cells.

    >>> table_row("tmp", "1_000")
    '| tmp | 1\\\\_000 |'
    """
    return f"| {' | '.join(escape_markdown(cell) for cell in cells)} |"
