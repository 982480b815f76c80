"""The soak: several avatars in threads play for minutes or hours, with random edits, runs and faults, and all that the katas hold
is checked against a model of it. What a proof searches in many short sessions is searched here in long ones, all at once.
"""

from __future__ import annotations

import pickle
import shlex
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from harness.engines import Engine
from harness.katas.places import place_of
from harness.runners.base import BaseRunner
from harness.runners.variant import Variant
from harness.verify.soak.fault_injection import Watched
from harness.verify.soak.player import SoakPlayer, Violation
from harness.verify.soak.presses import LIFE, SoakFault

ENOUGH = 20
"""Violations after which it ends: an engine that does nothing right would go on to tell so for an hour."""

_AVATARS = 4
"""At once, if there are not more runners than that."""


@dataclass
class Soaked:
    """What came of it."""

    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    by_runner: Counter[str] = field(default_factory=Counter)  # test events
    violations: list[Violation] = field(default_factory=list)

    @property
    def events(self) -> int:
        return self.counts["events"]

    @property
    def faults(self) -> dict[str, int]:
        """By kind."""
        return {each: self.counts[each] for each in SoakFault if self.counts[each]}


def soak(
    engine: Engine,
    variants: Sequence[Variant],
    *,
    seconds: float,
    seed: str,
    image: str | None = None,
    avatars: int = _AVATARS,
    only: tuple[int, int] | None = None,
    report: Callable[[Soaked], None] = lambda soaked: None,
) -> Soaked:
    """Play for so many seconds, or until there are ENOUGH violations; `only` one player, from the first test event of its avatar
    to the one of this number. Raises what an engine raises when a runner is opened.
    """
    soaked, lock, began = Soaked(), threading.Lock(), time.monotonic()
    stop = threading.Event()
    with ExitStack() as stack:
        players = _open(engine, variants, stack, seed=seed, image=image, avatars=avatars)
        if only:
            players = [each for each in players if each.number == only[0]]

        def play(player: SoakPlayer) -> None:
            number = only[1] // LIFE * LIFE if only else 0
            while not stop.is_set() and not (only and number > only[1]):
                before = Counter(player.counts)
                violation = player.play(number)
                number += 1
                with lock:
                    soaked.counts += player.counts - before
                    soaked.by_runner[player.variant.label] += 1
                    soaked.seconds = time.monotonic() - began
                    if violation:
                        soaked.violations.append(violation)
                        number += (
                            -number % LIFE
                        )  # what follows from it tells nothing: another avatar begins

        threads = [threading.Thread(target=play, args=[each], daemon=True) for each in players]
        for each in threads:
            each.start()
        try:
            while time.monotonic() < began + seconds and any(each.is_alive() for each in threads):
                time.sleep(0.2)
                with lock:
                    report(soaked)
                    if len(soaked.violations) >= ENOUGH:
                        break
        finally:
            stop.set()
            for each in threads:
                each.join()
        soaked.seconds = time.monotonic() - began
    return soaked


def replay_soak_command(
    engine: str, variants: Sequence[Variant], seed: str, violation: Violation
) -> str:
    """What a user types to see a violation again."""
    words = ["harness", "soak", "--engine", engine, "--seed", seed]
    for each in variants:
        words += ["--runner", each.label]
    return shlex.join([*words, "--only", f"{violation.player}:{violation.number}"])


def _open(
    engine: Engine,
    variants: Sequence[Variant],
    stack: ExitStack,
    *,
    seed: str,
    image: str | None,
    avatars: int,
) -> list[SoakPlayer]:
    """The players, each with a runner of its own; those of one kind share their katas."""
    first: dict[str, BaseRunner] = {}
    players = []
    for number in range(max(avatars, len(variants))):
        variant = variants[number % len(variants)]
        own = pickle.loads(pickle.dumps(engine))
        stack.callback(own.close)
        watched = Watched(own)
        place = place_of(first[variant.label].katas) if variant.label in first else None
        runner = stack.enter_context(
            closing(variant.open(watched, place, image=image, observe=True))
        )
        first.setdefault(variant.label, runner)
        player = SoakPlayer(number, seed, variant, watched, runner)
        stack.callback(player.close)
        players.append(player)
    # A harness that was killed may have asked for a container that came after all, and holds a volume.
    stack.callback(engine.sweep)
    return players
