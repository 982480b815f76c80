"""A bisection on a terminal: each answer in a line, and in the end the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from harness.gate.bisection import Answer, Bisection, BisectOutcome
from harness.gate.revision import Commit
from harness.measure.stats import Interval


def answer_words(answer: Answer) -> str:
    """Return what a gate says, in one line."""
    who = answer.question.commit.short
    if answer.interval is None:
        return f"{who} is left out: {answer.why}"
    how = {True: "slower", False: "not slower", None: "unsure, so it is left out"}[answer.slower]
    return (
        f"{who}: {ratio_words(answer.interval)} times {answer.question.base.short} in "
        f"{answer.interval.blocks} blocks: {how}"
    )


def ratio_words(interval: Interval) -> str:
    """Return the ratio with its interval."""
    return f"{interval.estimate:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def render(found: Bisection, command: Callable[[str, str], str]) -> RenderableType:
    """Show what a bisection came to; `command` returns the command that bisects two commits."""
    return Group(*_parts(found, command))


def _parts(found: Bisection, command: Callable[[str, str], str]) -> Iterator[RenderableType]:
    bad, suspects = found.commits[-1], found.suspects
    whole = found.answers[0].interval
    assert whole is not None
    if found.outcome is BisectOutcome.NOT_SLOWER:
        yield _line(
            f"{bad} is not slower than {found.good}: {ratio_words(whole)} times as long", "green"
        )
        return
    if found.outcome is BisectOutcome.UNSURE:
        yield _line(
            f"It is unsure whether {bad} is slower than {found.good}: {ratio_words(whole)} times "
            f"as long in {whole.blocks} blocks. More --seconds or --blocks would tell.",
            "yellow",
        )
        return
    assert found.own is not None
    own = found.own.interval
    beside = f"{ratio_words(own)} times {found.before}" if own else found.own.why
    if found.outcome is BisectOutcome.COMMIT:
        yield _line(f"{suspects[-1]} made it slower: {beside}", "bold red")
    elif found.outcome is BisectOutcome.GRADUAL:
        yield _line(
            f"The search ended at {suspects[-1]}, but beside the commit before it: {beside}. "
            "Several small steps may add up, or it takes more --seconds or --blocks to tell.",
            "yellow",
        )
    else:
        yield _line(f"One of these {len(suspects)} commits made it slower:", "bold red")
        for commit in suspects:
            yield _line(f"  {commit}{_why_untold(found, commit)}")
        yield _line(f"The last of them: {beside}")
    if len(found.answers) > 1:
        yield _line(f"All of {bad.short} beside {found.good.short}: {ratio_words(whole)}", "dim")
    if own and own.high < whole.low and suspects[-1] != bad:
        yield _line(f"That is only a part of it: {command(suspects[-1].short, bad.short)}")
    yield _line(f"To see it again: {command(found.before.short, suspects[-1].short)}")


def _why_untold(found: Bisection, commit: Commit) -> str:
    for answer in found.answers:
        if answer.question.commit == commit and answer.slower is None:
            if answer.interval is None:
                return f", left out: {answer.why}"
            return f", unsure: {ratio_words(answer.interval)} times {found.good.short}"
    return ""


def _line(text: str, style: str = "") -> Text:
    return Text(text, style)
