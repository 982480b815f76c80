"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from harness.katas.store import Increment
from harness.runners.run import Phase
from harness.summary import Row

PHASE_WORDS = {
    "open": "open the katas",
    "save": "copy files",
    "start": "container start",
    "pipe_in": "pipe in",
    "run": "run",
    "pipe_out": "pipe out",
    "commit": "commit",
}


def comparison(rows: Sequence[Row]) -> Table:
    """The table of `harness compare`: a column an arm, so that it fits a terminal of 80."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(row.runner, justify="right", no_wrap=True)
    lines: list[tuple[str, Callable[[Row], str]]] = [
        ("full build", lambda row: seconds(row.full)),
        ("incremental build", lambda row: seconds(row.incremental)),
        ("ratio to bare make", lambda row: "-" if row.ratio is None else f"{row.ratio:.2f}"),
        ("files recompiled", lambda row: _range(row.recompiled)),
        ("output right", lambda row: _of(row.right)),
        ("mtimes kept (1 ns)", lambda row: _of(row.kept)),
        ("piped in", lambda row: size(row.bytes_in)),
        ("piped out", lambda row: size(row.bytes_out)),
    ]
    for name, cell in lines:
        table.add_row(name, *(cell(row) for row in rows))
    for name, field in (("timed out", "timed_out"), ("faulty", "faulty")):
        if any(getattr(row, field) for row in rows):
            table.add_row(name, *(str(getattr(row, field)) for row in rows))
    table.add_section()
    table.add_row("of this, spent on")
    for kind, words in PHASE_WORDS.items():
        if any(kind in row.phases for row in rows):
            table.add_row(f"  {words}", *(seconds(row.phases.get(kind)) for row in rows))
    return table


def phases(found: Sequence[Phase]) -> Table:
    """The steps of one test event."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("step")
    for name in ("time", "piped in", "piped out"):
        table.add_column(name, justify="right")
    for each in found:
        table.add_row(
            escape(each.step), seconds(each.nanoseconds / 1e9), size(each.bytes_in), size(each.bytes_out)
        )
    return table


def katas(place: str, found: Mapping[str, Mapping[str, Sequence[Increment]]]) -> Table:
    """All katas of a place: a row an avatar."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=escape(place), title_justify="left")
    for name in ("kata", "avatar", "test events", "last", "last status"):
        table.add_column(name, justify="right" if name == "test events" else "left")
    for kata, avatars in found.items():
        for name, events in avatars.items():
            last = events[-1] if events else None
            table.add_row(kata, name, str(len(events)), _time(last), _status(last))
    return table


def increments(avatar: str, found: Sequence[Increment]) -> Table:
    """The test events of one avatar."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=escape(avatar), title_justify="left")
    for name in ("tag", "time", "outcome", "exit status"):
        table.add_column(name, justify="right" if name == "tag" else "left")
    for each in found:
        table.add_row(str(each.tag), _time(each), each.outcome, _status(each))
    return table


def files(found: Mapping[bytes, bytes]) -> Table:
    """Visible files and their sizes."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("visible file")
    table.add_column("bytes", justify="right")
    for name, content in sorted(found.items()):
        table.add_row(escape(name.decode(errors="backslashreplace")), str(len(content)))
    return table


def seconds(value: float | None) -> str:
    """A time with three digits that matter."""
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def size(value: int | None) -> str:
    """Bytes in decimal units, as disks and tar files are measured."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    return f"{value / 1e3:.0f} kB" if value < 1e6 else f"{value / 1e6:.2f} MB"


def _time(event: Increment | None) -> str:
    return f"{event.time[:19].replace('T', ' ')} UTC" if event else "-"


def _status(event: Increment | None) -> str:
    return "-" if event is None or event.status is None else str(event.status)


def _range(value: tuple[int, int] | None) -> str:
    if value is None:
        return "-"
    return str(value[0]) if value[0] == value[1] else f"{value[0]} to {value[1]}"


def _of(value: tuple[int, int]) -> str:
    return f"{value[0]}/{value[1]}" if value[1] else "-"
