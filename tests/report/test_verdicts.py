"""The views of the one verdict: each says the same, and survives what a name or a reason may
hold.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as xml

import jsonschema
import pytest
from rich.console import Console

from harness.gate import Evidence, Verdict, judge
from harness.measure.stats import VerdictState
from harness.report.verdicts import benchmark, comment, document, github, junit, markdown, terminal
from tests import ROOT
from tests.gate.figures import PIPE, blocks, budgets

AWKWARD = 'a|b <c> \x1b[31m & "d" %0A:: *e*\nf'


def verdict(limit: float = 1.4, count: int = 40) -> Verdict:
    """Of a ratio that is 1.25, with an A/A pair."""
    samples = blocks({"katas-volume": 4.0, PIPE: 5.0, f"{PIPE}#2": 5.0}, count, recompiled=1)
    found = budgets(f'seconds = "at most {limit} times katas-volume"\nrecompiled = "exactly 1"')
    facts = {"tree": "typical", "engine": {"engine": "local", "storage driver": "none"}}
    return judge(Evidence([samples], facts=facts), found)


def awkward() -> Verdict:
    """Names and reasons as an attacker would choose them."""
    found = verdict(1.1)
    rulings = tuple(replace(each, runner=AWKWARD, says=AWKWARD) for each in found.rulings)
    return replace(found, rulings=rulings, remarks=(AWKWARD,))


VERDICTS = {
    VerdictState.PASSED: verdict(),
    VerdictState.REGRESSED: verdict(1.1),
    VerdictState.INCONCLUSIVE: verdict(1.25),
}


def on_terminal(found: Verdict, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(terminal.render(found))
    return out.getvalue()


@pytest.mark.parametrize("state", VERDICTS)
def test_the_terminal_ends_with_the_verdict(state: VerdictState) -> None:
    """Each budget with its sign and what was found; it fits 80 columns and needs no colours."""
    text = on_terminal(VERDICTS[state])
    assert str(state) in text.splitlines()[-1] or str(state) in text.splitlines()[-2]
    assert "seconds at most" in text
    assert "recompiled exactly 1" in text
    assert "against itself (incremental)" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def several() -> Verdict:
    """Of two runners, of which one passed."""
    samples = blocks({"katas-volume": 4.0, PIPE: 5.0, "tmp": 9.0})
    text = 'seconds = "at most 1.4 times katas-volume"'
    return judge(Evidence([samples]), [*budgets(text), *budgets(text, heading="tmp.incremental")])


def test_several_runners_have_a_verdict_each() -> None:
    """In a table of their own, with what decided it; one runner needs none."""
    found = several()
    assert [(each.runner, str(each.state)) for each in found.runners] == [
        (PIPE, "passed"),
        ("tmp", "regressed"),
    ]
    assert [each.decisive.metric for each in found.runners] == ["seconds", "seconds"]
    shown = on_terminal(found)
    (row,) = [line for line in shown.splitlines() if line.strip().startswith("tmp  ")]
    assert "! regressed" in row
    assert found.runners[1].decisive.interval is not None
    assert f"incremental: seconds {found.runners[1].decisive.interval.estimate:.3g} (" in row
    assert f"| ❌ regressed | tmp | {found.runners[1].says} |" in markdown.render(found)
    for render in (on_terminal, markdown.render):
        assert "decided by" not in render(verdict())


@pytest.mark.parametrize(
    ("state", "counts"), [("passed", (0, 0)), ("regressed", (1, 0)), ("inconclusive", (0, 1))]
)
def test_junit_is_red_unless_all_passed(state: str, counts: tuple[int, int]) -> None:
    """What is inconclusive is an error: a skipped test looks green."""
    root = xml.fromstring(junit.render(VERDICTS[VerdictState(state)]))
    assert (int(root.attrib["failures"]), int(root.attrib["errors"])) == counts
    cases = list(root.iter("testcase"))
    assert int(root.attrib["tests"]) == len(cases) == 3
    assert (len(list(root.iter("failure"))), len(list(root.iter("error")))) == counts


def test_markdown_is_a_table_with_a_row_a_budget() -> None:
    """Nothing in a cell breaks out of it."""
    for found in (*VERDICTS.values(), awkward()):
        rows = [line for line in markdown.render(found).splitlines() if line.startswith("|")]
        assert len(rows) == 2 + len(found.rulings)
        assert {row.replace("\\|", "").count("|") for row in rows} == {5}


@pytest.mark.parametrize(
    ("state", "start"),
    [("passed", "::notice "), ("regressed", "::error "), ("inconclusive", "::warning ")],
)
def test_annotations_are_one_line_each(state: str, start: str) -> None:
    """One for each budget that is not kept, or one notice."""
    (line,) = github.render(VERDICTS[VerdictState(state)]).splitlines()
    assert line.startswith(start)


def test_no_annotation_can_be_forged() -> None:
    """A line end in a name would begin a workflow command of its own."""
    lines = github.render(awkward()).splitlines()
    assert len(lines) == len(
        [each for each in awkward().rulings if each.state is not VerdictState.PASSED]
    )
    assert all(
        line.count("::") == 3 for line in lines
    )  # two of its own, and one that the message says


def test_junit_survives_what_xml_cannot_say() -> None:
    xml.fromstring(junit.render(awkward()))


@pytest.mark.parametrize("state", VERDICTS)
def test_a_comment_begins_with_a_marker_that_stays(state: VerdictState) -> None:
    """The same for each verdict of a gate, also with a newer engine; all else is behind it."""
    found = VERDICTS[state]
    text = comment.render(found)
    assert text.splitlines()[0] == "<!-- harness gate: typical on local -->"
    assert comment.comment_marker(found) == comment.comment_marker(VERDICTS[VerdictState.PASSED])
    engines = ("docker 20.10", "docker 26.1", "local")
    markers = [
        comment.comment_marker(replace(found, facts={"tree": "lua", "engine": {"engine": engine}}))
        for engine in engines
    ]
    assert markers[0] == markers[1] != markers[2]
    assert str(state) in text.splitlines()[1]
    assert markdown.budget_table(found) in text
    assert text.count("| found |") == 1


def test_a_comment_survives_names_and_lengths() -> None:
    """No name ends the marker, and GitHub refuses none."""
    facts = {"tree": f"x --> <b>{AWKWARD}", "engine": {"engine": AWKWARD}}
    first = comment.render(replace(awkward(), facts=facts)).splitlines()[0]
    assert re.fullmatch(r"<!-- harness gate: [A-Za-z0-9.-]+ on [A-Za-z0-9.-]+ -->", first)
    found = VERDICTS[VerdictState.REGRESSED]
    for rulings in (
        found.rulings * 300,
        tuple(replace(each, says="x" * 70_000) for each in found.rulings),
    ):
        text = comment.render(replace(found, rulings=rulings))
        assert len(text) < comment.MOST
        assert comment.TOO_LONG in text
        assert "regressed" in text.splitlines()[1]


@pytest.mark.parametrize("state", VERDICTS)
def test_github_action_benchmark_reads_a_list_of_figures(state: VerdictState) -> None:
    """A name, a unit and a number in each; the name does not change with the budget."""
    found = VERDICTS[state]
    entries = json.loads(benchmark.render(found))
    assert [each["name"] for each in entries] == [
        f"{PIPE}, incremental: failed test events",
        f"{PIPE}, incremental: seconds, ratio to katas-volume",
        f"{PIPE}, incremental: recompiled",
    ]
    for each in entries:
        assert {"name", "unit", "value"} <= set(each) <= {"name", "unit", "value", "range", "extra"}
        assert isinstance(each["value"], float)
        assert all(isinstance(each[key], str) for key in each if key != "value")
    interval = found.rulings[1].interval
    assert interval is not None
    assert entries[1]["value"] == interval.estimate
    assert entries[1]["range"] == f"{interval.low:.3g} to {interval.high:.3g}"
    assert entries[1]["extra"].startswith(str(state))
    assert [each["value"] for each in (entries[0], entries[2])] == [0, 1]


def test_github_action_benchmark_gets_nothing_that_is_better_if_larger() -> None:
    """Nor a range without ends."""
    samples = blocks({"katas-volume": 4.0, PIPE: 5.0}, 3, bytes_in=7)
    found = judge(
        Evidence([samples]),
        budgets(
            'seconds = ["at least 1 times tmp", "at most 2 times bare-make"]\nbytes_in = "at least 1"'.replace(
                "tmp", "katas-volume"
            )
        ),
    )
    entries = json.loads(benchmark.render(found))
    assert [each["name"] for each in entries] == [
        f"{PIPE}, incremental: failed test events",
        f"{PIPE}, incremental: seconds, ratio to bare-make",
    ]
    assert "range" not in entries[1]


def test_the_document_keeps_to_its_schema() -> None:
    """Even with an interval that is open, where the blocks are too few."""
    schema = json.loads((ROOT / "results" / "gate-schema.json").read_text())
    for found in (*VERDICTS.values(), several(), awkward(), verdict(count=5)):
        written = json.loads(document.render(found))
        jsonschema.Draft202012Validator(schema).validate(written)
        assert written["verdict"] == found.state
        assert written["exit_status"] == found.exit_status
    assert written["rulings"][1]["interval"]["high"] is None
