"""The gate: judges samples by budgets, without I/O. `harness.report` shows its verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.gate.budgets import Budget, Sense, intervals
from harness.gate.evidence import (
    Against,
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
from harness.measure import looks, stats
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

HOPELESS = 2 * looks.LOOKS[-1]
"""If more blocks than this would be needed, the machine counts as too noisy."""

COMPLETED = "completed and right"


def judge(evidence: Evidence, budgets: Sequence[Budget]) -> Verdict:
    """Judge the evidence by the budgets.

    Raises UsageError, with the place, for a budget of an arm, a scenario or a metric that was not
    measured, or that has only one block.
    """
    check_budgets(evidence, budgets)
    noise = tuple(_noise(evidence, budgets))
    rulings = (
        *(_completed(evidence, *heading) for heading in _headings(budgets)),
        *(
            _explain(decided) if isinstance(decided, _Ratio) else decided
            for decided in _decide(evidence, budgets)
        ),
    )
    return Verdict(rulings, noise, (*evidence.remarks, *_unfair(noise)), evidence.facts)


def settled(
    samples: Samples,
    budgets: Sequence[Budget],
    *,
    against: Against = None,
    most: int = looks.LOOKS[-1],
) -> bool:
    """Whether no budget is inconclusive any more, or `most` blocks have been played.

    Ask after each block. It judges only when the scenario with the most blocks has a number of
    blocks in looks.LOOKS, so that asking often costs no confidence.
    """
    played = Counter(
        sample.scenario for sample in {sample.block: sample for sample in samples}.values()
    )
    scenario, blocks = played.most_common(1)[0]
    if blocks >= most:
        return True
    if samples[-1].scenario != scenario or not looks.is_look(blocks):
        return False
    evidence = Evidence([samples], against=against)
    try:
        return VerdictState.INCONCLUSIVE not in states(evidence, budgets)
    except UsageError:  # some arm has not had its turn yet
        return False


def states(evidence: Evidence, budgets: Sequence[Budget]) -> list[VerdictState]:
    """Return the state of each budget without an explanation. Raises what `judge` raises."""
    check_budgets(evidence, budgets)
    return [decided.state for decided in _decide(evidence, budgets)]


def early_stop(
    budgets: Sequence[Budget], *, against: Against = None, most: int = looks.LOOKS[-1]
) -> Callable[[Samples], bool]:
    """Return the function that a comparison asks after each block whether to stop."""
    return lambda samples: settled(samples, budgets, against=against, most=most)


@dataclass(frozen=True)
class _Ratio:
    """A budget that needs an interval, decided but not yet explained."""

    budget: Budget
    figures: Figures
    interval: Interval

    @property
    def state(self) -> VerdictState:
        return self.interval.against(
            self.budget.amount, at_least=self.budget.sense is Sense.AT_LEAST
        )


def _headings(budgets: Sequence[Budget]) -> Iterable[tuple[str, str]]:
    return dict.fromkeys((budget.runner, budget.scenario) for budget in budgets)


def _decide(evidence: Evidence, budgets: Sequence[Budget]) -> Iterator[_Ratio | Ruling]:
    confidence = looks.share(intervals(budgets))
    for budget in budgets:
        yield _ratio(evidence, budget, confidence) if budget.noisy else _counted(evidence, budget)


def _completed(evidence: Evidence, runner: str, scenario: str) -> Ruling:
    samples = events(evidence, runner, scenario)
    failed = [
        sample for sample in samples if sample.outcome != "completed" or sample.right is False
    ]
    says = f"all {len(samples)} test events"
    if failed:
        first = failed[0]
        how = first.outcome.replace("_", " ") if first.outcome != "completed" else "a wrong answer"
        why = f": {first.reason}" if first.reason else ""
        says = (
            f"{len(failed)} of {len(samples)} test events failed, the first one in block "
            f"{first.block + 1}: {how}{why}"
        )
    state = VerdictState.REGRESSED if failed else VerdictState.PASSED
    return Ruling(
        runner, scenario, "test events", COMPLETED, state, says, len(samples), float(len(failed))
    )


def _counted(evidence: Evidence, budget: Budget) -> Ruling:
    """Judge a counter, which has no noise: every single sample must keep to the budget."""
    if untold(evidence, budget):
        return _ruling(
            budget,
            VerdictState.PASSED,
            "not counted on either side: this build makes no object files",
            0,
            None,
        )
    counted = counts(evidence, budget)
    bound = budget.amount
    if budget.than is not None:
        bound *= (max if budget.sense is Sense.AT_MOST else min)(others(evidence, budget))
    broken = [
        (block, figure) for block, figure in counted if not _keeps(figure, budget.sense, bound)
    ]
    least, most = min(figure for _, figure in counted), max(figure for _, figure in counted)
    says = f"{least:g} in {len(counted)} blocks" if least == most else f"{least:g} to {most:g}"
    if broken:
        block, figure = broken[0]
        says = f"{figure:g} in block {block + 1}, not {budget.sense} {bound:g}"
        says += f"; broken in {len(broken)} of {len(counted)} blocks"
    state = VerdictState.REGRESSED if broken else VerdictState.PASSED
    worst = least if budget.sense is Sense.AT_LEAST else most
    return _ruling(budget, state, says, len(counted), worst)


def _ruling(
    budget: Budget, state: VerdictState, says: str, blocks: int, worst: float | None
) -> Ruling:
    return Ruling(
        budget.runner, budget.scenario, budget.metric, budget.text, state, says, blocks, worst
    )


def _keeps(figure: float, sense: Sense, bound: float) -> bool:
    if sense is Sense.EXACTLY:
        return figure == bound
    return figure <= bound if sense is Sense.AT_MOST else figure >= bound


def _ratio(evidence: Evidence, budget: Budget, confidence: float) -> _Ratio:
    compared = figures(evidence, budget)
    if compared.blocks < 2:
        raise UsageError(f"{budget.place}: {_too_few(evidence, budget, compared)}")
    measure = stats.paired if compared.paired else stats.unpaired
    return _Ratio(budget, compared, measure(compared.one, compared.other, confidence))


def _too_few(evidence: Evidence, budget: Budget, compared: Figures) -> str:
    """Say which side has too few figures, and what to do about it."""
    sides = {
        (budget.runner, budget.scenario): compared.one,
        compared_with(evidence, budget): compared.other,
    }
    (runner, scenario), figures = min(sides.items(), key=lambda side: len(side[1]))
    what = f"{budget.metric} of {runner} ({scenario})"
    if not figures:
        return (
            f"{what} was not measured in any completed block; leave this budget out, or compare "
            "with something else"
        )
    return (
        f"{what} was measured in only one block, which cannot tell noise from a change; measure "
        "more blocks"
    )


def _explain(ratio: _Ratio) -> Ruling:
    budget, interval, paired = ratio.budget, ratio.interval, ratio.figures.paired
    one, other = ratio.figures.one, ratio.figures.other
    ratios = [a / b for a, b in zip(one, other, strict=True)] if paired else one
    ruling = Ruling(
        budget.runner,
        budget.scenario,
        budget.metric,
        budget.text,
        ratio.state,
        _range(interval),
        interval.blocks,
        figure=interval.estimate,
        interval=interval,
        limit=budget.amount,
        scatter=stats.scatter(one, other) if paired else None,
        outliers=len(stats.outliers(ratios)),
        warm_up=stats.warm_up(one),
    )
    if ratio.state is not VerdictState.INCONCLUSIVE:
        return ruling
    few = not paired and budget.than in SCENARIOS and len(other) < len(one)
    return _advise(ruling, interval, f"{budget.than} blocks" if few else "blocks")


def _range(interval: Interval) -> str:
    if math.isinf(interval.high):
        return f"{interval.estimate:.3g} in {interval.blocks} blocks, too few for an interval"
    return (
        f"{interval.estimate:.3g} ({interval.low:.3g} to {interval.high:.3g}) "
        f"in {interval.blocks} blocks"
    )


def _advise(ruling: Ruling, interval: Interval, blocks: str) -> Ruling:
    """Say what would settle the budget; `blocks` is the word for the blocks that are too few."""
    needed = looks.blocks_to_settle(interval, ruling.limit or 1.0)
    if needed is None:
        advice = "it lies at the limit, so no number of blocks can decide"
    elif needed <= HOPELESS:
        advice = f"{needed - ruling.blocks} more {blocks}, {needed} in all, should settle it"
    elif ruling.scatter is None:
        advice = f"it lies so near the limit that some {needed} blocks would be needed"
    else:
        bearable = math.expm1(math.log(ruling.scatter) * math.sqrt(HOPELESS / needed))
        advice = (
            f"too noisy, or too near the limit: it varies by {ruling.scatter - 1:.0%} from block "
            "to "
            f"block; with {bearable:.1%}, {HOPELESS} blocks would settle it"
        )
    return replace(ruling, says=f"{ruling.says}; {advice}", to_settle=needed)


def _noise(evidence: Evidence, budgets: Sequence[Budget]) -> Iterator[Noise]:
    """Yield what the A/A pairs show, in the scenarios of the budgets."""
    pairs = [arm for arm in measured_arms(evidence.runs) if arm.endswith(AGAIN)]
    for again in pairs:
        runner = again.removesuffix(AGAIN)
        for scenario in dict.fromkeys(budget.scenario for budget in budgets):
            one, other = [], []
            for samples in evidence.runs:
                first = figures_by_block(samples, runner, scenario, "seconds")
                for block, figure in figures_by_block(samples, again, scenario, "seconds").items():
                    if block in first:
                        one.append(figure)
                        other.append(first[block])
            if len(one) > 1:
                interval = stats.paired(one, other, stats.CONFIDENCE)
                yield Noise(runner, scenario, interval, stats.scatter(one, other))


def _unfair(noise: Iterable[Noise]) -> Iterator[str]:
    for pair in noise:
        if not pair.interval.low <= 1 <= pair.interval.high:
            yield (
                f"{pair.runner} differs from itself by {abs(pair.interval.estimate - 1):.1%} "
                f"({pair.scenario}), so something other than the runner was measured; trust no "
                "ratio that is as near to its limit"
            )
