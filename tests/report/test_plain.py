"""No text that others wrote reaches a person's terminal as a command for it."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from harness.gate.verdict import Ruling, Verdict
from harness.measure.stats import VerdictState
from harness.report.plain import PlainConsole, shown, shown_name, write_out
from harness.report.verdicts import github

HOSTILE = "a\x1b[31mb\x1b]0;owned\x07c\x9b2Jd\re\u202ef"
"""Colours, a window's title, C1's way to clear the screen, an overwritten line, and letters in
another order.
"""

WRITTEN_OUT = r"a\x1b[31mb\x1b]0;owned\x07c\x9b2Jd\re\u202ef"

COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Person(io.StringIO):
    """A terminal with a person in front of it."""

    def isatty(self) -> bool:
        return True


def printed(*things: object, width: int = 200) -> str:
    out = io.StringIO()
    PlainConsole(file=out, width=width).print(*things, markup=False)
    return out.getvalue()


@given(st.text())
def test_nothing_shown_is_a_command(text: str) -> None:
    """What is shown can be written to any terminal, in UTF-8; a text without commands stays as it
    is.
    """
    found = shown(text)
    assert not COMMANDS.search(found)
    found.encode()
    assert shown(found) == found
    assert not set(shown_name(text)) & set("\n\t")


def test_a_command_is_written_out_and_not_left_out() -> None:
    """Who reads it sees what it is; a byte that is no UTF-8 is that byte."""
    assert shown(HOSTILE) == WRITTEN_OUT
    assert shown_name(b"a\n\xe9\t") == r"a\n\xe9\t"
    assert shown("äß\n\t界") == "äß\n\t界"


def test_whatever_is_printed_is_shown_so() -> None:
    """A plain text, a cell, a heading, a title, a text with styles: with markup that is none, and
    no word becomes a picture.
    """
    table = Table("plain", title=HOSTILE)
    table.add_column(Text(HOSTILE))
    table.add_row(HOSTILE, Text(HOSTILE, "red"))
    for each in (HOSTILE, table, Text.assemble(("x", "bold"), (HOSTILE, "red"), "y")):
        said = printed(each)
        assert not COMMANDS.search(said)
        assert r"a\x1b[31mb\x1b]0;owned" in said
        assert r"\u202ef" in said
    assert printed(":bomb: [red]") == ":bomb: [red]\n"


def test_what_is_written_out_is_folded_and_not_cut() -> None:
    """It is longer than it was, and a cell has no room to spare."""
    table = Table.grid()
    table.add_column(width=10, overflow="fold")
    table.add_row(Text("\x1b" * 10))
    assert printed(table).replace("\n", "").replace(" ", "") == r"\x1b" * 10


@pytest.mark.parametrize("data", [HOSTILE, HOSTILE.encode()])
def test_a_program_s_output_is_raw_for_a_file_and_shown_to_a_person(data: str | bytes) -> None:
    """To be piped on it must be the bytes that it is."""
    person, raw = Person(), io.BytesIO()
    write_out(person, data)
    assert person.getvalue() == WRITTEN_OUT
    file = io.TextIOWrapper(raw, encoding="utf-8", newline="")
    write_out(file, data)
    assert raw.getvalue() == HOSTILE.encode()


def test_a_job_s_log_is_a_person_s_terminal() -> None:
    """An annotation of GitHub is shown there too, and stays one line."""
    ruling = Ruling(
        "tmp", "full", "test events", "right", VerdictState.REGRESSED, f"1 did not: {HOSTILE}\n", 1
    )
    line = github.render(Verdict((ruling,), (), (), {}))
    assert not COMMANDS.search(line.rstrip("\n"))
    assert line.count("\n") == 1
