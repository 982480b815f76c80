"""harness soak: play long sessions with faults, and check the katas against a model."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from harness import runners
from harness.cli.options import add_engine, add_runner, console, count, errors, positive, remark
from harness.engines import Engine
from harness.engines.choice import choose
from harness.engines.spec import Overlay
from harness.inside.errors import EngineError, UsageError
from harness.runners.katas_data_container import WITH_HEAD_START
from harness.runners.katas_overlay import KatasOverlay
from harness.runners.variant import Variant

if TYPE_CHECKING:
    from harness.verify.soak import Soaked
    from harness.verify.soak.player import Violation

MINUTES = 2.0

VIOLATED = 1
"""Exit status if a check was violated."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "soak",
        help="play long sessions with faults, and check what the katas hold",
        description="Let several avatars play at once for minutes or hours, with random edits and "
        "runs. "
        "Meanwhile the harness, keepers and run-containers are killed, stopped and removed, and "
        "disks fill up. What the katas hold is checked to the nanosecond against a model, by git "
        "fsck, and by builds from nothing. Exits with 0 if every check passed, and 1 otherwise.",
    )
    parser.add_argument(
        "-m",
        "--minutes",
        type=positive,
        default=MINUTES,
        metavar="N",
        help="how long to play (default %(default)g)",
    )
    add_engine(parser)
    add_runner(
        parser,
        action="append",
        defaults=", ".join(
            (*runners.NOTES_NAMES, WITH_HEAD_START, f"{KatasOverlay.name} if possible")
        ),
    )
    parser.add_argument(
        "--seed",
        metavar="SEED",
        help="play the same test events of each avatar again (default: a new one)",
    )
    parser.add_argument(
        "--avatars",
        type=count,
        default=4,
        metavar="N",
        help="how many play at once, at least one for each runner (default %(default)d)",
    )
    parser.add_argument(
        "--only",
        type=only,
        metavar="A:N",
        help="play only avatar A up to its test event N, to reproduce a violation",
    )
    parser.set_defaults(command_function=_soak)


def only(text: str) -> tuple[int, int]:
    """The number of an avatar and of a test event, for argparse."""
    avatar, _, number = text.partition(":")
    if not (avatar.isdecimal() and number.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not AVATAR:NUMBER, as a violation gives it")
    return int(avatar), int(number)


def _soak(options: argparse.Namespace) -> int:
    # Imported here: the proofs are slow to import, and only this command and verify need them.
    from harness.verify.soak import replay_soak_command, soak  # noqa: PLC0415

    seed = options.seed or secrets.token_hex(4)
    choice = choose(options.engine, image=options.image, report=remark)
    with closing(choice.engine) as engine:
        engine.check_image(options.image)
        errors.print(
            f"{engine.describe()['engine']}: {choice.why}; --seed {seed}",
            markup=False,
            soft_wrap=True,
        )
        variants = _variants(options.runner, engine)
        if options.only and options.only[0] >= max(options.avatars, len(variants)):
            raise UsageError(
                f"--only: there is no avatar {options.only[0]}; the last one is "
                f"{max(options.avatars, len(variants)) - 1}"
            )

        def words(violation: Violation) -> list[str]:
            return _words(violation, replay_soak_command(engine.name, variants, seed, violation))

        with _showing(options.minutes, words) as show:
            soaked = soak(
                engine,
                variants,
                seconds=options.minutes * 60,
                seed=seed,
                image=options.image,
                avatars=options.avatars,
                only=options.only,
                report=show,
            )
        _report(soaked, words)
    return VIOLATED if soaked.violations else 0


def _variants(names: list[str] | None, engine: Engine) -> list[Variant]:
    """Return the named runners, else the notes', one that stands by, and overlay where possible."""
    if names:
        return list(
            {variant.label: variant for variant in map(runners.parse_variant, names)}.values()
        )
    wanted = [*runners.NOTES_NAMES, WITH_HEAD_START]
    with suppress(EngineError):
        wanted += [] if engine.refusal(Overlay) else [KatasOverlay.name]
    return [runners.parse_variant(name) for name in wanted]


def _report(soaked: Soaked, words: Callable[[Violation], list[str]]) -> None:
    faults = soaked.faults
    hours = max(soaked.seconds, 0.001) / 3600
    lines = [
        f"{soaked.events} test events in {soaked.seconds / 60:.1f} minutes, "
        f"{soaked.events / hours:.0f} an hour: "
        + ", ".join(f"{number} of {name}" for name, number in sorted(soaked.by_runner.items())),
        f"{sum(faults.values())} faults: "
        + (", ".join(f"{number} {name}" for name, number in faults.items()) or "none"),
    ]
    done = (
        "downloads checked",
        "entries compared",
        "git fsck",
        "builds from nothing",
        "builds with gcc",
        "references packed",
    )
    lines.append(", ".join(f"{soaked.counts[name]} {name}" for name in done))
    lines.append(
        ", ".join(
            f"{number} {name}"
            for name, number in sorted(soaked.counts.items())
            if name.startswith("it ")
        )
    )
    lines.append(f"{len(soaked.violations)} violations")
    for violation in soaked.violations:
        lines += ["", *words(violation)]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _words(violation: Violation, replay: str) -> list[str]:
    return [
        f"{violation.runner}, avatar {violation.player}, test event {violation.number}: "
        f"{violation.words}",
        f"  {violation.plan}",
        f"  before it: {violation.before}",
        f"  {replay}",
    ]


@contextmanager
def _showing(minutes: float, words: Callable[[Violation], list[str]]) -> Iterator[Any]:
    """Show progress: a line on a terminal or every 30 seconds in a log, and violations at once."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    told, shown = 0.0, 0
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def show(soaked: Soaked) -> None:
            nonlocal told, shown
            for violation in soaked.violations[shown:]:
                for line in words(violation):
                    errors.print(line, markup=False, soft_wrap=True)
            shown = len(soaked.violations)
            summary = (
                f"{soaked.events} test events, {sum(soaked.faults.values())} faults, "
                f"{len(soaked.violations)} violations, "
                f"{soaked.seconds / 60:.1f} of {minutes:g} minutes"
            )
            progress.update(task, description=summary)
            if not errors.is_terminal and soaked.seconds > told + 30:
                told = soaked.seconds
                remark(summary)

        yield show
