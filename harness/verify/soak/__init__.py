"""The soak: avatars in threads play for minutes or hours, and the katas are checked by a model.

Edits, runs and faults are random. What the proofs search in many short sessions, one thing at a
time, the soak searches in long ones, all at once.
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
from harness.runners.base import BaseRunner
from harness.runners.variant import Variant
from harness.verify.faults.faulty_engine import FaultyEngine
from harness.verify.soak.player import SoakPlayer, Violation
from harness.verify.soak.presses import LIFE, SoakFault

ENOUGH = 20
"""Violations after which the soak ends: an engine that does nothing right would report no end."""

_AVATARS = 4
"""Avatars that play at once, or one for each runner if there are more runners."""


@dataclass
class Soaked:
    """The result of a soak."""

    seconds: float = 0.0
    """How long it has played."""
    counts: Counter[str] = field(default_factory=Counter)
    """What was played and checked, by kind."""
    by_runner: Counter[str] = field(default_factory=Counter)
    """Test events by the label of the runner's variant."""
    violations: list[Violation] = field(default_factory=list)
    """What was wrong."""

    @property
    def events(self) -> int:
        """The number of test events."""
        return self.counts["events"]

    @property
    def faults(self) -> dict[str, int]:
        """How often each kind of fault happened."""
        return {fault: self.counts[fault] for fault in SoakFault if self.counts[fault]}


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
    """Play for `seconds`, or until there are ENOUGH violations.

    With `only`, one player (by number) plays from the first test event of an avatar to the one of
    the given number. Raises what an engine raises when a runner is opened.
    """
    soaked, lock, began = Soaked(), threading.Lock(), time.monotonic()
    stop = threading.Event()
    with ExitStack() as stack:
        players = _open(engine, variants, stack, seed=seed, image=image, avatars=avatars)
        if only:
            players = [player for player in players if player.number == only[0]]

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
                        # What follows from a violation tells nothing: another avatar begins.
                        number += -number % LIFE

        threads = [threading.Thread(target=play, args=[player], daemon=True) for player in players]
        for thread in threads:
            thread.start()
        try:
            while time.monotonic() < began + seconds and any(
                thread.is_alive() for thread in threads
            ):
                time.sleep(0.2)
                with lock:
                    report(soaked)
                    if len(soaked.violations) >= ENOUGH:
                        break
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        soaked.seconds = time.monotonic() - began
    return soaked


def replay_soak_command(
    engine: str, variants: Sequence[Variant], seed: str, violation: Violation
) -> str:
    """Return the command that shows a violation again."""
    words = ["harness", "soak", "--engine", engine, "--seed", seed]
    for variant in variants:
        words += ["--runner", variant.label]
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
    """Open the players, each with its own runner; those of one variant share their katas."""
    first: dict[str, BaseRunner] = {}
    players = []
    for number in range(max(avatars, len(variants))):
        variant = variants[number % len(variants)]
        own = pickle.loads(pickle.dumps(engine))
        stack.callback(own.close)
        watched = FaultyEngine(own)
        place = first[variant.label].katas.place() if variant.label in first else None
        runner = stack.enter_context(
            closing(variant.open(watched, place, image=image, observe=True))
        )
        first.setdefault(variant.label, runner)
        player = SoakPlayer(number, seed, variant, watched, runner)
        stack.callback(player.close)
        players.append(player)
    # A killed harness may have asked for a container that came later, and holds a volume.
    stack.callback(engine.sweep)
    return players
