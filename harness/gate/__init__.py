"""The gate: samples and budgets to one verdict. Pure; every view of it is in harness.report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.gate.budgets import Budget, Sense, intervals
from harness.gate.evidence import (
    Evidence,
    Figures,
    Samples,
    check_budgets,
    compared_with,
    counts,
    events,
    figures,
    figures_by_block,
    measured_arms,
    others,
    untold,
)
from harness.gate.verdict import EXIT, Noise, Ruling, Verdict
from harness.inside.errors import UsageError
from harness.measure import stats
from harness.measure.compare import AGAIN
from harness.measure.stats import Interval, VerdictState
from harness.measure.trials.scenario import SCENARIOS

__all__ = [
    "EXIT",
    "Evidence",
    "Noise",
    "Ruling",
    "Verdict",
    "early_stop",
    "judge",
    "settled",
    "states",
]

HOPELESS = 2 * stats.LOOKS[-1]
"""Where it would take more blocks than this, the machine is too noisy."""

COMPLETED = "completed and right"


def judge(evidence: Evidence, budgets: Sequence[Budget]) -> Verdict:
    """The verdict. Raises UsageError, with the place, for a budget that names an arm, a scenario or a metric
    that was not measured, and where one block is all there is.
    """
    check_budgets(evidence, budgets)
    noise = tuple(_noise(evidence, budgets))
    rulings = (
        *(_completed(evidence, *each) for each in _headings(budgets)),
        *(
            _explain(each) if isinstance(each, _Ratio) else each
            for each in _decide(evidence, budgets)
        ),
    )
    return Verdict(rulings, noise, (*evidence.remarks, *_unfair(noise)), evidence.facts)


def settled(
    samples: Samples,
    budgets: Sequence[Budget],
    *,
    against: str | None = None,
    most: int = stats.LOOKS[-1],
) -> bool:
    """Whether more blocks would change nothing, since no budget is inconclusive; or there are `most` of them.

    To be asked after each block. It looks only after as many blocks of the scenario that is played most as
    stats.LOOKS says, so that asking again and again costs no confidence.
    """
    played = Counter(each.scenario for each in {each.block: each for each in samples}.values())
    scenario, blocks = played.most_common(1)[0]
    if blocks >= most:
        return True
    if samples[-1].scenario != scenario or not stats.is_look(blocks):
        return False
    evidence = Evidence([samples], against=against)
    try:
        return VerdictState.INCONCLUSIVE not in states(evidence, budgets)
    except UsageError:  # an arm that has not had its turn yet
        return False


def states(evidence: Evidence, budgets: Sequence[Budget]) -> list[VerdictState]:
    """What becomes of each budget, and nothing that explains it. Raises what `judge` raises."""
    check_budgets(evidence, budgets)
    return [each.state for each in _decide(evidence, budgets)]


def early_stop(
    budgets: Sequence[Budget], *, against: str | None = None, most: int = stats.LOOKS[-1]
) -> Callable[[Samples], bool]:
    """What a comparison asks after each block."""
    return lambda samples: settled(samples, budgets, against=against, most=most)


@dataclass(frozen=True)
class _Ratio:
    """A budget that takes an interval, decided but not yet explained."""

    budget: Budget
    figures: Figures
    interval: Interval

    @property
    def state(self) -> VerdictState:
        return self.interval.against(
            self.budget.amount, at_least=self.budget.sense is Sense.AT_LEAST
        )


def _headings(budgets: Sequence[Budget]) -> Iterable[tuple[str, str]]:
    return dict.fromkeys((each.runner, each.scenario) for each in budgets)


def _decide(evidence: Evidence, budgets: Sequence[Budget]) -> Iterator[_Ratio | Ruling]:
    confidence = stats.share(intervals(budgets))
    for each in budgets:
        yield _ratio(evidence, each, confidence) if each.noisy else _counted(evidence, each)


def _completed(evidence: Evidence, runner: str, scenario: str) -> Ruling:
    samples = events(evidence, runner, scenario)
    failed = [each for each in samples if each.outcome != "completed" or each.right is False]
    says = f"all {len(samples)} test events"
    if failed:
        first = failed[0]
        how = first.outcome.replace("_", " ") if first.outcome != "completed" else "a wrong answer"
        why = f": {first.reason}" if first.reason else ""
        says = f"{len(failed)} of {len(samples)} did not, the first in block {first.block + 1}: {how}{why}"
    state = VerdictState.REGRESSED if failed else VerdictState.PASSED
    return Ruling(runner, scenario, "test events", COMPLETED, state, says, len(samples))


def _counted(evidence: Evidence, budget: Budget) -> Ruling:
    """What no noise reaches: every sample keeps to it, or it is broken."""
    if untold(evidence, budget):
        return _ruling(
            budget,
            VerdictState.PASSED,
            "not counted on either side: the build makes no object files",
            0,
        )
    counted = counts(evidence, budget)
    bound = budget.amount
    if budget.than is not None:
        bound *= (max if budget.sense is Sense.AT_MOST else min)(others(evidence, budget))
    broken = [(block, found) for block, found in counted if not _keeps(found, budget.sense, bound)]
    least, most = min(found for _, found in counted), max(found for _, found in counted)
    says = f"{least:g} in {len(counted)} blocks" if least == most else f"{least:g} to {most:g}"
    if broken:
        block, found = broken[0]
        says = f"{found:g} in block {block + 1}, not {budget.sense} {bound:g}"
        says += f"; broken in {len(broken)} of {len(counted)} blocks"
    return _ruling(
        budget, VerdictState.REGRESSED if broken else VerdictState.PASSED, says, len(counted)
    )


def _ruling(budget: Budget, state: VerdictState, says: str, blocks: int) -> Ruling:
    return Ruling(budget.runner, budget.scenario, budget.metric, budget.text, state, says, blocks)


def _keeps(found: float, sense: Sense, bound: float) -> bool:
    if sense is Sense.EXACTLY:
        return found == bound
    return found <= bound if sense is Sense.AT_MOST else found >= bound


def _ratio(evidence: Evidence, budget: Budget, confidence: float) -> _Ratio:
    found = figures(evidence, budget)
    if found.blocks < 2:
        raise UsageError(f"{budget.place}: {_too_few(evidence, budget, found)}")
    measure = stats.paired if found.paired else stats.unpaired
    return _Ratio(budget, found, measure(found.one, found.other, confidence))


def _too_few(evidence: Evidence, budget: Budget, found: Figures) -> str:
    """What cannot be compared, and what to do about it."""
    sides = {
        (budget.runner, budget.scenario): found.one,
        compared_with(evidence, budget): found.other,
    }
    (runner, scenario), figures = min(sides.items(), key=lambda each: len(each[1]))
    what = f"{budget.metric} of {runner} ({scenario})"
    if not figures:
        return f"{what} was not measured in any block that completed; leave it out, or compare with another"
    return f"{what} was measured in one block alone, which does not tell noise from a change; measure more of them"


def _explain(found: _Ratio) -> Ruling:
    budget, interval, paired = found.budget, found.interval, found.figures.paired
    one, other = found.figures.one, found.figures.other
    ratios = [a / b for a, b in zip(one, other, strict=True)] if paired else one
    ruling = Ruling(
        budget.runner,
        budget.scenario,
        budget.metric,
        budget.text,
        found.state,
        _range(interval),
        interval.blocks,
        interval=interval,
        limit=budget.amount,
        scatter=stats.scatter(one, other) if paired else None,
        outliers=len(stats.outliers(ratios)),
        warm_up=stats.warm_up(one),
    )
    if found.state is not VerdictState.INCONCLUSIVE:
        return ruling
    few = not paired and budget.than in SCENARIOS and len(other) < len(one)
    return _advise(ruling, interval, f"{budget.than} blocks" if few else "blocks")


def _range(interval: Interval) -> str:
    if math.isinf(interval.high):
        return f"{interval.estimate:.3g}, of {interval.blocks} blocks, which are too few for an interval"
    return f"{interval.estimate:.3g} ({interval.low:.3g} to {interval.high:.3g}) in {interval.blocks} blocks"


def _advise(ruling: Ruling, interval: Interval, blocks: str) -> Ruling:
    """Say what would settle it; `blocks` is the word for those that are too few."""
    needed = interval.blocks_to_settle(ruling.limit or 1.0)
    if needed is None:
        advice = "it lies at its limit, where no number of blocks decides"
    elif needed <= HOPELESS:
        advice = f"{needed - ruling.blocks} more {blocks}, {needed} in all, should settle it"
    elif ruling.scatter is None:
        advice = f"it would take some {needed} blocks, so near to its limit does it lie"
    else:
        bearable = math.expm1(math.log(ruling.scatter) * math.sqrt(HOPELESS / needed))
        advice = (
            f"too noisy, or too near to its limit: from block to block it differs by {ruling.scatter - 1:.0%}, "
            f"where {bearable:.1%} would settle it in {HOPELESS} blocks"
        )
    return replace(ruling, says=f"{ruling.says}; {advice}", to_settle=needed)


def _noise(evidence: Evidence, budgets: Sequence[Budget]) -> Iterator[Noise]:
    """The A/A pairs, in the scenarios that there are budgets for."""
    pairs = [each for each in measured_arms(evidence.runs) if each.endswith(AGAIN)]
    for again in pairs:
        runner = again.removesuffix(AGAIN)
        for scenario in dict.fromkeys(each.scenario for each in budgets):
            one, other = [], []
            for samples in evidence.runs:
                first = figures_by_block(samples, runner, scenario, "seconds")
                for block, found in figures_by_block(samples, again, scenario, "seconds").items():
                    if block in first:
                        one.append(found)
                        other.append(first[block])
            if len(one) > 1:
                interval = stats.paired(one, other, stats.CONFIDENCE)
                yield Noise(runner, scenario, interval, stats.scatter(one, other))


def _unfair(noise: Iterable[Noise]) -> Iterator[str]:
    for each in noise:
        if not each.interval.low <= 1 <= each.interval.high:
            yield (
                f"{each.runner} differs from itself by {abs(each.interval.estimate - 1):.1%} ({each.scenario}): "
                "something else than the runner is measured; trust no ratio that is as near to its limit"
            )
