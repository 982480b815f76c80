"""The views of the gate's verdict, one file each, and the lines that several of them share."""

from __future__ import annotations

from collections import Counter

from harness.gate.verdict import Ruling, Verdict
from harness.measure.stats import VerdictState

HEADLINES = {
    VerdictState.PASSED: "passed: every budget is kept",
    VerdictState.REGRESSED: "regressed: at least one budget is broken",
    VerdictState.INCONCLUSIVE: "inconclusive: no budget is broken, but not all are decided",
}


def headline(verdict: Verdict) -> str:
    """Return the verdict in one line."""
    states = Counter(ruling.state for ruling in verdict.rulings)
    counts = ", ".join(f"{states[state]} {state}" for state in VerdictState if states[state])
    return f"{HEADLINES[verdict.state]} ({counts})"


def measured_where(verdict: Verdict) -> str:
    """Return what was measured on what, in one line; empty if unknown."""
    facts, engine = verdict.facts, verdict.facts.get("engine", {})
    parts = (facts.get("tree"), engine.get("engine"), engine.get("storage driver"))
    return ", ".join(str(part) for part in parts if part)


def notes(verdict: Verdict) -> list[str]:
    """Return what else a reader must know: the noise, odd blocks, and the remarks."""
    noise = [
        f"{pair.runner} against itself ({pair.scenario}): {pair.interval.estimate:.3f} "
        f"({pair.interval.low:.3f} to {pair.interval.high:.3f}), "
        f"varies by {pair.scatter - 1:.0%} from block to block"
        for pair in verdict.noise
    ]
    return [
        *noise,
        *(line for ruling in verdict.rulings for line in _seen(ruling)),
        *verdict.remarks,
    ]


def _seen(ruling: Ruling) -> list[str]:
    """Return what was odd about its blocks."""
    lines = []
    if ruling.outliers:
        lines.append(f"{ruling.outliers} of {ruling.blocks} blocks lie far from the rest")
    if ruling.warm_up:
        lines.append(f"the first {ruling.warm_up} blocks differ from the rest, as in a warm-up")
    return [f"{ruling.name}: {line}; the interval includes them" for line in lines]
