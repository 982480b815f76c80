"""What an avatar does is drawn from the seed, its own number and that of the test event alone."""

from __future__ import annotations

from harness.verify.soak.presses import LIFE, Ending, SoakFault, draw

FAULTS = list(SoakFault)


def test_the_same_seed_plays_the_same_again() -> None:
    """Of each avatar, whatever came of the test events before."""
    first, second = (
        [draw("a", 1, number, FAULTS, cheap=True) for number in range(100)] for _ in range(2)
    )
    assert first == second


def test_another_seed_and_another_avatar_play_something_else() -> None:
    one = [draw("a", 1, number, FAULTS, cheap=True) for number in range(20)]
    assert one != [draw("b", 1, number, FAULTS, cheap=True) for number in range(20)]
    assert one != [draw("a", 2, number, FAULTS, cheap=True) for number in range(20)]


def test_an_hour_has_all_kinds_of_fault_and_ending() -> None:
    """And the first test event of an avatar has none: there would be nothing to lose."""
    plans = [draw("a", 0, number, FAULTS, cheap=True, folder=True) for number in range(2000)]
    assert {plan.fault for plan in plans} == {None, *SoakFault}
    assert {plan.ending for plan in plans} == set(Ending)
    assert all(plan.fault is None for plan in plans[::LIFE])
    assert any(plan.packs for plan in plans)
    assert all(str(plan) for plan in plans)
