"""The matrix: it fits 80 columns, reads the same without colours, and leaves nothing that was found
unsaid.
"""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from harness.report import matrix
from harness.runners.claims import Property
from harness.verify.matrix import MatrixVerdict, judge_matrix, replay_command
from harness.verify.proofs import ProofResult, Status
from harness.verify.proofs.shared.verdict import Counterexample


def finding(
    name: Property = Property.ATOMIC,
    runner: str = "tmp",
    status: Status = Status.PROVED,
    *,
    engine: str = "docker",
    claimed: bool = True,
    **more: object,
) -> ProofResult:
    fields: dict[str, object] = {"examples": 12, "seconds": 1.0}
    if status is Status.REFUTED:
        fields["counterexample"] = Counterexample("one [b]file[/b] was lost", "cuts.MTI")
    if status is Status.UNKNOWN:
        fields["reason"] = "no Docker here"
    return ProofResult(name, runner, engine, claimed, status, **{**fields, **more})  # type: ignore[arg-type]


def shown(findings: list[ProofResult], *, colour: bool = False, width: int = 80) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False
    )
    console.print(matrix.report(findings, width=width), crop=False)
    return out.getvalue()


RUNNERS = (
    "tmp",
    "katas-volume",
    "katas-data-container",
    "katas-data-container:start=seeded,transport=x",
)

MANY = [
    finding(name, runner, status, engine=engine, claimed=claimed)
    for engine in ("docker", "local-plain")
    for name in Property
    for runner, status, claimed in zip(
        RUNNERS,
        (Status.PROVED, Status.REFUTED, Status.UNKNOWN, Status.REFUTED),
        (True, False, True, True),
        strict=True,
    )
]


def test_it_fits_80_columns() -> None:
    """However many runners there are, and however long their labels: all but the commands, which
    must be copied whole.
    """
    lines = shown(MANY).splitlines()
    assert max(len(line) for line in lines if "harness verify" not in line) <= 80
    for name in (*Property, *RUNNERS):
        assert any(name in line for line in lines)


def test_a_label_longer_than_a_line_is_folded() -> None:
    """Nothing of it is lost."""
    label = "mine:" + ",".join(f"option{number}=value{number}" for number in range(9))
    table = shown([finding(runner=label)]).split("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 80
    folded = "".join(
        line[len("on docker") :].strip() for line in table.splitlines() if "─" not in line
    )
    assert folded.startswith(label)


def test_it_reads_the_same_without_colours() -> None:
    """Each kind of cell has a sign of its own."""
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown(MANY, colour=True)) == shown(MANY)
    cells = {
        matrix.cell(finding(status=status, claimed=claimed))
        for status in (Status.PROVED, Status.REFUTED)
        for claimed in (True, False)
    }
    assert len({cell[0] for cell in cells | {matrix.cell(finding(status=Status.UNKNOWN))}}) == 5


def test_what_was_found_is_said() -> None:
    """A counterexample in words, not taken for markup, and as a command in one line; the reason of
    what is unknown.
    """
    text = shown(
        [
            finding(runner="tmp", status=Status.REFUTED),
            finding(runner="katas-volume", status=Status.UNKNOWN, claimed=False),
        ]
    )
    assert "! atomic of tmp on docker" in text
    assert "one [b]file[/b] was lost" in text
    command = "harness verify --runner tmp --engine docker --property atomic --replay cuts.MTI"
    assert f"    {command}\n" in text
    assert "? atomic of katas-volume on docker\n    no Docker here\n" in text
    assert "not every claim holds: 0 of 2 as claimed" in text


def test_a_command_can_be_pasted_into_a_shell() -> None:
    """Whatever is in the label or the image's name."""
    found = finding(runner="mine:a=b,c=d; rm", status=Status.REFUTED)
    assert replay_command(found, image="a b").startswith(
        "harness verify --runner 'mine:a=b,c=d; rm' --engine"
    )
    assert "--image 'a b'" in replay_command(found, image="a b")


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([], MatrixVerdict.UNKNOWN),
        ([finding()], MatrixVerdict.AS_CLAIMED),
        ([finding(), finding(status=Status.REFUTED, claimed=False)], MatrixVerdict.AS_CLAIMED),
        ([finding(), finding(claimed=False)], MatrixVerdict.UNKNOWN),
        ([finding(), finding(status=Status.UNKNOWN)], MatrixVerdict.UNKNOWN),
        ([finding(), finding(status=Status.UNKNOWN, claimed=False)], MatrixVerdict.UNKNOWN),
        ([finding(status=Status.UNKNOWN), finding(status=Status.REFUTED)], MatrixVerdict.REFUTED),
    ],
)
def test_the_verdict(findings: list[ProofResult], verdict: MatrixVerdict) -> None:
    """A refuted claim outweighs what is unknown, and that outweighs what is as claimed."""
    assert judge_matrix(findings) is verdict
