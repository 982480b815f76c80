"""The views of the gate's one verdict, a file each. What several of them say is said here."""

from __future__ import annotations

from collections import Counter

from harness.gate.verdict import Ruling, Verdict
from harness.measure.stats import VerdictState

HEADLINES = {
    VerdictState.PASSED: "passed: every budget is kept",
    VerdictState.REGRESSED: "regressed: not every budget is kept",
    VerdictState.INCONCLUSIVE: "inconclusive: no budget is broken, but not all can be decided",
}


def headline(verdict: Verdict) -> str:
    """The verdict in one line."""
    states = Counter(each.state for each in verdict.rulings)
    counts = ", ".join(f"{states[state]} {state}" for state in VerdictState if states[state])
    return f"{HEADLINES[verdict.state]} ({counts})"


def measured_where(verdict: Verdict) -> str:
    """What was measured, on what, in one line; empty where it is not known."""
    facts, engine = verdict.facts, verdict.facts.get("engine", {})
    parts = (facts.get("tree"), engine.get("engine"), engine.get("storage driver"))
    return ", ".join(str(each) for each in parts if each)


def notes(verdict: Verdict) -> list[str]:
    """What a reader must know besides: the noise, what was seen in the blocks, and the remarks."""
    found = [
        f"{each.runner} against itself ({each.scenario}): {each.interval.estimate:.3f} "
        f"({each.interval.low:.3f} to {each.interval.high:.3f}), from block to block {each.scatter - 1:.0%}"
        for each in verdict.noise
    ]
    return [*found, *(line for each in verdict.rulings for line in _seen(each)), *verdict.remarks]


def _seen(ruling: Ruling) -> list[str]:
    """What was seen in its blocks; none of them was left out."""
    found = []
    if ruling.outliers:
        found.append(f"{ruling.outliers} of {ruling.blocks} blocks lie far from the rest")
    if ruling.warm_up:
        found.append(f"the first {ruling.warm_up} blocks were unlike the rest, as if warming up")
    return [f"{ruling.name}: {each}; they are part of the interval" for each in found]
