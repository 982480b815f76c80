"""A matrix of findings, on a terminal and as JSON (results/verify-schema.json).

On a terminal it fits 80 columns and reads the same without colours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.verify.matrix import MatrixVerdict, judge_matrix, replay_command
from harness.verify.proofs import ProofResult, Status

_SCHEMA = 1

WIDTH, GAP = 80, 2

_KINDS: dict[tuple[bool, Status], tuple[str, str, str]] = {
    # (claimed, status): the text of the cell, its style, its meaning in the legend
    (True, Status.PROVED): (
        "+ proved",
        "green",
        "claimed, and this number of examples had no counterexample",
    ),
    (True, Status.REFUTED): ("! refuted", "bold red", "claimed, but does not hold"),
    (False, Status.REFUTED): ("- refuted", "dim", "not claimed, and does not hold"),
    (False, Status.PROVED): (
        "~ not shown",
        "yellow",
        "not claimed, but no counterexample was found",
    ),
    (True, Status.UNKNOWN): ("? unknown", "yellow", "could not be tried here"),
    (False, Status.UNKNOWN): ("? unknown", "yellow", "could not be tried here"),
}

_VERDICTS = {
    MatrixVerdict.AS_CLAIMED: (
        "every claim is proved, and what is not claimed is refuted",
        "green",
    ),
    MatrixVerdict.REFUTED: ("not every claim holds", "bold red"),
    MatrixVerdict.UNKNOWN: ("no claim is refuted, but not everything is known", "yellow"),
}


def report(
    findings: Sequence[ProofResult], *, image: str | None = None, width: int = WIDTH
) -> RenderableType:
    """Show a table for each engine, a legend, each counterexample, and the reason of each unknown.

    A counterexample comes in words and as the command that replays it, which stays in one line:
    print the report with `crop=False`.
    """
    return Group(
        *(
            part
            for engine in _ordered(finding.engine for finding in findings)
            for part in _tables(engine, findings, width)
        ),
        _legend(findings),
        *_searched(findings),
        *(part for finding in findings if (part := _explained(finding, image))),
        _conclusion(findings),
    )


def as_json(
    facts: Mapping[str, Any], findings: Sequence[ProofResult], *, complete: bool
) -> dict[str, Any]:
    """Return everything, for programs; `complete` says that the run was not interrupted."""
    return {
        "schema": _SCHEMA,
        **facts,
        "findings": [
            {
                "property": str(finding.name),
                "runner": finding.runner,
                "engine": finding.engine,
                "claimed": finding.claimed,
                "status": str(finding.status),
                "as_claimed": finding.as_claimed,
                "examples": finding.examples,
                "events": finding.events,
                "entries": finding.entries,
                "tried": dict(sorted(finding.tried.items())),
                "seconds": round(finding.seconds, 3),
                "counterexample": asdict(finding.counterexample)
                if finding.counterexample
                else None,
                "replay": replay_command(finding, image=facts.get("image"))
                if finding.counterexample
                else None,
                "reason": finding.reason or None,
                "traceback": finding.traceback or None,
            }
            for finding in findings
        ],
        "complete": complete,
        "verdict": str(judge_matrix(findings)),
    }


def cell(finding: ProofResult) -> str:
    """Return the text of a cell; a proof comes with its number of examples."""
    words = _KINDS[finding.claimed, finding.status][0]
    return f"{words} {finding.examples}" if finding.status is Status.PROVED else words


def _tables(engine: str, findings: Sequence[ProofResult], width: int) -> Iterator[RenderableType]:
    """Yield as many tables as it takes to fit the width."""
    here = {
        (finding.name, finding.runner): finding for finding in findings if finding.engine == engine
    }
    names = _ordered(name for name, _ in here)
    first = max(len(engine) + 3, *(len(name) for name in names))
    columns: list[tuple[str, int]] = []
    for runner in _ordered(runner for _, runner in here):
        needed = max(
            len(runner), *(len(cell(finding)) for (_, of), finding in here.items() if of == runner)
        )
        if columns and first + sum(GAP + size for _, size in [*columns, (runner, needed)]) > width:
            yield _table(engine, names, columns, here, first)
            columns = []
        columns.append((runner, min(needed, width - first - GAP)))
    yield _table(engine, names, columns, here, first)


def _table(
    engine: str,
    names: Sequence[str],
    columns: Sequence[tuple[str, int]],
    here: Mapping[tuple[Any, str], ProofResult],
    first: int,
) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False)
    table.add_column(Text(f"on {engine}"), no_wrap=True, min_width=first)
    for runner, size in columns:
        table.add_column(Text(runner), width=size, overflow="fold")
    for name in names:
        row = [here.get((name, runner)) for runner, _ in columns]
        table.add_row(Text(name), *(_styled(finding) if finding else Text() for finding in row))
    return Padding(table, (1, 0, 0, 0), expand=False)


def _styled(finding: ProofResult) -> Text:
    return Text(cell(finding), _KINDS[finding.claimed, finding.status][1])


def _legend(findings: Sequence[ProofResult]) -> RenderableType:
    kinds = [
        kind
        for kind in _KINDS
        if any((finding.claimed, finding.status) == kind for finding in findings)
    ]
    meanings = dict.fromkeys((_KINDS[kind][0], _KINDS[kind][2]) for kind in kinds)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
    for sign, meaning in meanings:
        table.add_row(Text(sign), Text(meaning))
    return Padding(table, (1, 0, 0, 0), expand=False)


def _searched(findings: Sequence[ProofResult]) -> Iterator[RenderableType]:
    """Show the space that was searched for each proved property, over all runners and engines."""
    proved = [finding for finding in findings if finding.status is Status.PROVED]
    if not proved:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False)
    table.add_column("proved", no_wrap=True)
    for name in ("examples", "test events", "entries"):
        table.add_column(name, justify="right")
    table.add_column("kinds of examples", overflow="fold")
    for name in _ordered(finding.name for finding in proved):
        of = [finding for finding in proved if finding.name == name]
        tried: Counter[str] = Counter()
        for finding in of:
            tried.update(finding.tried)
        kinds = ", ".join(f"{count} {kind}" for kind, count in tried.most_common())
        sums = [
            sum(values)
            for values in zip(
                *((finding.examples, finding.events, finding.entries) for finding in of),
                strict=True,
            )
        ]
        table.add_row(Text(name), *(f"{number:,}" for number in sums), Text(kinds, "dim"))
    yield Padding(table, (1, 0, 0, 0), expand=False)


def _explained(finding: ProofResult, image: str | None) -> RenderableType | None:
    """Show what the cell cannot, if there is something."""
    sign = cell(finding).partition(" ")[0]
    title = Text(f"\n{sign} {finding.name} of {finding.runner} on {finding.engine}", "bold")
    if finding.counterexample is not None:
        # Kept in one line so that it can be copied; rich would break it.
        command = Text(
            f"    {replay_command(finding, image=image)}", "cyan", no_wrap=True, overflow="ignore"
        )
        return Group(title, Padding.indent(Text(finding.counterexample.words), 4), command)
    if finding.status is Status.UNKNOWN:
        return Group(title, Padding.indent(Text(finding.reason), 4))
    return None


def _conclusion(findings: Sequence[ProofResult]) -> Text:
    words, style = _VERDICTS[judge_matrix(findings)]
    right = sum(finding.as_claimed for finding in findings)
    return Text(f"\n{words}: {right} of {len(findings)} as claimed", style)


def _ordered(names: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(names))
