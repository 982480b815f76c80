"""The report on the verdicts of the gates, in Markdown and JSON."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from harness.measure import looks, stats
from harness.measure.compare import AGAIN
from harness.measure.stats import VerdictState
from scenarios.gate_accuracy import replay, rules
from scenarios.gate_accuracy.real import KINDS
from scenarios.gate_accuracy.recording import NOISES, RUNNER, load

AIMS = {
    0.0: "at most 1 % regressed",
    0.1: "at least 90 % regressed, none passed",
    0.2: "at least 99 % regressed",
}


REPLAYED = 10
"""So many times as many gates are replayed, by ranks alone, as are judged as a gate judges."""


def write(folder: Path, gates: int) -> None:
    """Draw gates from each recording in `folder`, and write README.md and accuracy.json there."""
    results = dict(_results(folder, gates))
    (folder / "accuracy.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "README.md").write_text("\n".join(_lines(results, gates)) + "\n")


def _results(folder: Path, gates: int) -> Iterator[tuple[str, Any]]:
    for number, noise in enumerate(NOISES):
        path = folder / "recordings" / f"{noise}.csv"
        recording = load(path)
        with path.open() as file:
            facts = json.loads(file.readline().removeprefix("# "))
        times = [[sample.seconds for sample in recording[arm]] for arm in (RUNNER, RUNNER + AGAIN)]
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
                "looks": [
                    {"case": asdict(case), **_replayed(recording, case, REPLAYED * gates, number)}
                    for case in replay.CASES
                ],
                "left by bare make": replay.left_by_bare_make(recording),
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


def _replayed(
    recording: rules.Recording, case: replay.Case, gates: int, seed: int
) -> dict[str, Any]:
    before, now, once = replay.replay(recording, case, gates, seed)
    return {"before": asdict(before), "now": asdict(now), "once": asdict(once)}


def _real(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    results = []
    for number, kind in product(dict.fromkeys(row["looks"] for row in rows), KINDS):
        mine = [row for row in rows if (row["looks"], row["kind"]) == (number, kind)]
        states = Counter(row["state"] for row in mine)
        result = {
            "kind": kind,
            "looks": int(number),
            "gates": len(mine),
            **{str(state): states[state] for state in VerdictState},
            "median blocks": median(int(row["blocks"]) for row in mine),
            "median ratio": median(float(row["estimate"]) for row in mine),
        }
        results.append(result)
    return results


def _lines(results: Mapping[str, Any], gates: int) -> Iterator[str]:
    yield from (
        "# How often the gate is wrong",
        "",
        "`make gate-accuracy` writes this page; "
        "[the scenario](../../scenarios/gate_accuracy/README.md) explains the method. "
        f"The budget is `{rules.TOLERANCE}`. "
        f"The gate looks after {', '.join(map(str, looks.LOOKS))} blocks. "
        f"However often it looks, a verdict is right with a confidence of {stats.CONFIDENCE:.0%}.",
        "",
    )
    recorded = {name: result for name, result in results.items() if name != "real"}
    yield from (
        "## The recordings",
        "",
        "| | engine | load average at the start | blocks | median test event "
        "| scatter between blocks |",
        "|---|---|---|---|---|---|",
    )
    for name, result in recorded.items():
        yield (
            f"| {name} | {result['engine']} | {result['load']} | {result['blocks']} "
            f"| {result['median seconds'] * 1000:.0f} ms | {result['scatter'] - 1:.0%} |"
        )
    yield from (
        "",
        f"## {gates} gates drawn from each recording",
        "",
        "| recording | the new version is | regressed | inconclusive | passed | median blocks "
        "| aim |",
        "|---|---|---|---|---|---|---|",
    )
    for name, result in recorded.items():
        for slowdown, aim in AIMS.items():
            drawn = result["gates"][f"{slowdown:g}"]
            shares = " | ".join(
                f"{drawn[state]:.1%}"
                for state in (
                    VerdictState.REGRESSED,
                    VerdictState.INCONCLUSIVE,
                    VerdictState.PASSED,
                )
            )
            yield f"| {name} | {_words(slowdown)} | {shares} | {drawn['median blocks']:g} | {aim} |"
    yield from _looks(recorded, REPLAYED * gates)
    yield from (
        "",
        "## What other rules call slower",
        "",
        f"{rules.ROUNDS} runs of the old version, then {rules.ROUNDS} of the new, "
        "from the same recordings.",
        "",
        f"| rule | recording | {' | '.join(_words(slowdown) for slowdown in AIMS)} |",
        "|---|---|---|---|---|",
    )
    for rule in rules.RULES:
        for name, result in recorded.items():
            shares = " | ".join(f"{value:.0%}" for value in result["rules"][rule].values())
            yield f"| {rule} | {name} | {shares} |"
    yield from (
        "",
        "## The signed-rank interval and a bootstrap of the median",
        "",
        "How often an interval of 95 % covers 1, on draws from the recordings "
        "in which the true ratio is 1, and its typical width in the logarithm.",
        "",
        "| recording | blocks | signed-rank covers | width | bootstrap covers | width |",
        "|---|---|---|---|---|---|",
    )
    for name, result in recorded.items():
        for blocks, pair in result["intervals"].items():
            cells = " | ".join(f"{covered:.1%} | {width:.3f}" for covered, width in pair.values())
            yield f"| {name} | {blocks} | {cells} |"
    yield from ("", "## Real gates, with a delay in the tar-pipe", "")
    if "real" not in results:
        yield "None have been played yet: `make gate-accuracy ARGS='--real 20'` on a quiet machine."
        return
    yield from (
        "Those with 7 looks were played before there were more.",
        "",
        "| the new version is | looks | gates | regressed | inconclusive | passed | median blocks "
        "| median ratio |",
        "|---|---|---|---|---|---|---|---|",
    )
    for result in results["real"]:
        counts = " | ".join(
            str(result[state])
            for state in (VerdictState.REGRESSED, VerdictState.INCONCLUSIVE, VerdictState.PASSED)
        )
        yield (
            f"| {result['kind']} | {result['looks']} | {result['gates']} | {counts} "
            f"| {result['median blocks']:g} | {result['median ratio']:.3f} |"
        )


def _looks(recorded: Mapping[str, Any], gates: int) -> Iterator[str]:
    """Show what the sequence of looks costs, and that bare make could not make it cheaper."""
    within = replay.WITHIN
    yield from (
        "",
        "## More looks: before → now",
        "",
        f"{gates} gates of each kind, drawn from every second block; the looks were chosen on the "
        "other blocks. "
        f"Before, the gate looked after {', '.join(map(str, replay.BEFORE.looks))} blocks, and the "
        "looks shared 1 % equally at both ends of the interval. "
        "If a version is slower by just the budget, no number of blocks can tell on which side it "
        "lies, and each verdict should come from at most 1 gate in 100. "
        f"The last column is one look alone, after {within} blocks, at 1 %: no sequence of looks "
        "at this test can find more by then.",
        "",
        "| recording | the new version is | at most | regressed | passed | median blocks "
        f"| mean blocks | regressed by block {within} | by one look |",
        "|---|---|---|---|---|---|---|---|---|",
    )
    for name, result in recorded.items():
        for replayed in result["looks"]:
            case, before, now = replayed["case"], replayed["before"], replayed["now"]
            cells = [
                f"{before[key]:{form}} → {now[key]:{form}}"
                for key, form in (
                    ("regressed", ".1%"),
                    ("passed", ".1%"),
                    ("median", "g"),
                    ("mean", ".0f"),
                    ("found", ".1%"),
                )
            ]
            yield (
                f"| {name} | {_words(case['slowdown'])} | {100 * case['tolerance']:g} % above "
                f"| {' | '.join(cells)} | {replayed['once']['found']:.1%} |"
            )
    yield from (
        "",
        "## Bare make as a control",
        "",
        "The share of the variance of the log-ratio that a regression on bare make's times leaves, "
        "by cross-validation: from 1 on, it explains nothing. The gate leaves it out.",
        "",
    )
    kinds = next(iter(recorded.values()))["left by bare make"]
    yield f"| recording | {' | '.join(kinds)} |"
    yield "|---|" + "---|" * len(kinds)
    for name, result in recorded.items():
        left = " | ".join(f"{share:.2f}" for share in result["left by bare make"].values())
        yield f"| {name} | {left} |"


def _words(slowdown: float) -> str:
    return f"{slowdown:.0%} slower" if slowdown else "equal"
