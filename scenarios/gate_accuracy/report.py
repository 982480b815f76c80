"""The report: what the gates said, in Markdown and as JSON."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from harness.measure import stats
from harness.measure.compare import AGAIN
from harness.measure.stats import VerdictState
from scenarios.gate_accuracy import rules
from scenarios.gate_accuracy.real import KINDS
from scenarios.gate_accuracy.recording import NOISES, RUNNER, load

AIMS = {
    0.0: "at most 1 % regressed",
    0.1: "at least 90 % regressed, none passed",
    0.2: "at least 99 % regressed",
}


def write(folder: Path, gates: int) -> None:
    """Draw so many gates from each recording in `folder`, and write README.md and accuracy.json there."""
    found = dict(_results(folder, gates))
    (folder / "accuracy.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "README.md").write_text("\n".join(_lines(found, gates)) + "\n")


def _results(folder: Path, gates: int) -> Iterator[tuple[str, Any]]:
    for number, noise in enumerate(NOISES):
        path = folder / "recordings" / f"{noise}.csv"
        recording = load(path)
        with path.open() as file:
            facts = json.loads(file.readline().removeprefix("# "))
        times = [[each.seconds for each in recording[arm]] for arm in (RUNNER, RUNNER + AGAIN)]
        drawn = {}
        for slowdown in AIMS:
            counts, blocks = rules.drawn_gates(recording, 1 + slowdown, gates, seed=number)
            drawn[f"{slowdown:g}"] = {
                **{str(state): counts[state] / gates for state in VerdictState},
                "median blocks": median(blocks),
            }
        yield (
            noise,
            {
                "load": facts["machines"][facts["machine"]]["load"][0],
                "engine": facts["engine"]["engine"],
                "blocks": len(times[0]),
                "median seconds": median(times[0]),
                "scatter": stats.scatter(*times),
                "gates": drawn,
                "rules": {
                    name: {
                        f"{slowdown:g}": rules.alarms(recording, rule, 1 + slowdown, gates, number)
                        / gates
                        for slowdown in AIMS
                    }
                    for name, rule in rules.RULES.items()
                },
                "intervals": {
                    str(blocks): rules.intervals(recording, blocks, gates, number)
                    for blocks in (15, 60)
                },
            },
        )
    if (folder / "real.csv").exists():
        yield "real", _real(folder / "real.csv")


def _real(path: Path) -> dict[str, Any]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for kind in KINDS:
        mine = [row for row in rows if row["kind"] == kind]
        states = Counter(row["state"] for row in mine)
        found[kind] = {
            "gates": len(mine),
            **{str(state): states[state] for state in VerdictState},
            "median blocks": median(int(row["blocks"]) for row in mine),
            "median ratio": median(float(row["estimate"]) for row in mine),
        }
    return found


def _lines(found: Mapping[str, Any], gates: int) -> Iterator[str]:
    yield from (
        "# How often the gate is wrong",
        "",
        "`make gate-accuracy` writes this page; [the scenario](../../scenarios/gate_accuracy/README.md) explains the method. "
        f"The budget is `{rules.TOLERANCE}`. The gate looks after {', '.join(map(str, stats.LOOKS))} blocks. All looks share "
        f"the confidence of {stats.CONFIDENCE:.0%}.",
        "",
    )
    recorded = {name: each for name, each in found.items() if name != "real"}
    yield from (
        "## The recordings",
        "",
        "| | engine | load average at the start | blocks | median test event | scatter between blocks |",
        "|---|---|---|---|---|---|",
    )
    for name, each in recorded.items():
        yield (
            f"| {name} | {each['engine']} | {each['load']} | {each['blocks']} | {each['median seconds'] * 1000:.0f} ms "
            f"| {each['scatter'] - 1:.0%} |"
        )
    yield from (
        "",
        f"## {gates} gates drawn from each recording",
        "",
        "| recording | the new version is | regressed | inconclusive | passed | median blocks | aim |",
        "|---|---|---|---|---|---|---|",
    )
    for name, each in recorded.items():
        for slowdown, aim in AIMS.items():
            drawn = each["gates"][f"{slowdown:g}"]
            shares = " | ".join(
                f"{drawn[state]:.1%}"
                for state in (
                    VerdictState.REGRESSED,
                    VerdictState.INCONCLUSIVE,
                    VerdictState.PASSED,
                )
            )
            yield f"| {name} | {_words(slowdown)} | {shares} | {drawn['median blocks']:g} | {aim} |"
    yield from (
        "",
        "## What other rules call slower",
        "",
        f"{rules.ROUNDS} runs of the old version, then {rules.ROUNDS} of the new, from the same recordings.",
        "",
        f"| rule | recording | {' | '.join(_words(each) for each in AIMS)} |",
        "|---|---|---|---|---|",
    )
    for rule in rules.RULES:
        for name, each in recorded.items():
            yield f"| {rule} | {name} | {' | '.join(f'{value:.0%}' for value in each['rules'][rule].values())} |"
    yield from (
        "",
        "## The signed-rank interval and a bootstrap of the median",
        "",
        "How often an interval of 95 % covers 1, on draws from the recordings in which the true ratio is 1, and its typical "
        "width in the logarithm.",
        "",
        "| recording | blocks | signed-rank covers | width | bootstrap covers | width |",
        "|---|---|---|---|---|---|",
    )
    for name, each in recorded.items():
        for blocks, pair in each["intervals"].items():
            cells = " | ".join(f"{covered:.1%} | {width:.3f}" for covered, width in pair.values())
            yield f"| {name} | {blocks} | {cells} |"
    yield from ("", "## Real gates, with a delay in the tar-pipe", "")
    if "real" not in found:
        yield "None have been played yet: `make gate-accuracy ARGS='--real 20'` on a quiet machine."
        return
    yield from (
        "| the new version is | gates | regressed | inconclusive | passed | median blocks | median ratio |",
        "|---|---|---|---|---|---|---|",
    )
    for kind, each in found["real"].items():
        counts = " | ".join(
            str(each[state])
            for state in (VerdictState.REGRESSED, VerdictState.INCONCLUSIVE, VerdictState.PASSED)
        )
        yield f"| {kind} | {each['gates']} | {counts} | {each['median blocks']:g} | {each['median ratio']:.3f} |"


def _words(slowdown: float) -> str:
    return f"{slowdown:.0%} slower" if slowdown else "equal"
