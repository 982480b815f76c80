"""harness verify: prove every property of every runner, or refute it by a counterexample."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from harness import runners
from harness.cli.options import (
    ENGINE_CHOICES,
    ENGINES,
    add_dask,
    add_image,
    add_runner,
    console,
    errors,
    remark,
    warn,
)
from harness.engines import Engine
from harness.engines.choice import choose
from harness.inside.errors import UsageError, not_among
from harness.runners.claims import Property
from harness.runners.variant import Variant

if TYPE_CHECKING:  # what proves is slow to import, and no other command needs it
    from harness.verify.matrix import Cell, Verification
    from harness.verify.proofs import ProofResult

MOST_JOBS = 4
"""Properties at once by default; where many containers start, proofs miss their time limits."""

STATUS = {"as claimed": 0, "refuted": 1, "unknown": 3}
"""Exit status of each verdict."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "verify",
        help="prove or refute what the runners claim",
        description="Search for a counterexample to each property of each runner. Print the "
        "matrix, "
        "then the smallest counterexamples, each in words and as a command that replays it. Exits "
        "with 0 if every claim was proved and everything else refuted, 1 if a claim was refuted, "
        "and 3 if something stayed unknown.",
    )
    add_runner(parser, action="append")
    parser.add_argument(
        "-e",
        "--engine",
        action="append",
        choices=ENGINE_CHOICES,
        metavar="NAME",
        help=f"where to prove: {ENGINES}; may be repeated (default: auto, which takes Docker if it "
        "answers)",
    )
    parser.add_argument(
        "-p",
        "--property",
        action="append",
        choices=[str(name) for name in Property],
        metavar="NAME",
        help=f"one of {', '.join(Property)}; may be repeated (default: all)",
    )
    add_image(parser)
    parser.add_argument(
        "--profile",
        metavar="NAME",
        default="dev",
        help="dev (default) draws new examples each time, ci draws the same ones, thorough draws "
        "seventeen times as many",
    )
    parser.add_argument(
        "--thorough",
        action="store_const",
        dest="profile",
        const="thorough",
        help="short for --profile thorough",
    )
    parser.add_argument(
        "--replay", metavar="TOKEN", help="try only this counterexample, to one --property"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write everything as JSON, for programs"
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="show the traceback of an error in a proof itself",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        type=int,
        metavar="N",
        default=min(MOST_JOBS, len(os.sched_getaffinity(0))),
        help="prove N properties at once, each in its own process (default %(default)s: one for "
        f"each processor, but at most {MOST_JOBS})",
    )
    add_dask(parser, "proofs")
    parser.set_defaults(command_function=_verify)


def _verify(options: argparse.Namespace) -> int:
    from harness.verify.matrix import (  # noqa: PLC0415 - see above
        Verification,
        judge_matrix,
        properties,
        verify,
    )
    from harness.verify.proofs import PROFILES  # noqa: PLC0415 - see above

    variants = {
        variant.label: variant
        for variant in map(runners.parse_variant, options.runner or runners.NOTES_NAMES)
    }
    wanted = [Property(name) for name in dict.fromkeys(options.property or properties())]
    if options.profile not in PROFILES:
        raise not_among("profile", options.profile, PROFILES)
    if options.replay is not None and len(wanted) > 1:
        raise UsageError("--replay needs the one --property that the counterexample belongs to")
    if options.jobs < 1:
        raise UsageError("--jobs must be at least 1")
    if options.json is not None:
        _check_writable(options.json)
    if options.dask is not None:
        return _spread(options, list(variants.values()), wanted)
    with ExitStack() as stack:
        engines: dict[str, Engine] = {}
        for name in dict.fromkeys(options.engine or ["auto"]):
            choice = choose(name, image=options.image, report=remark)
            engine = stack.enter_context(closing(choice.engine))
            engines[engine.name if name == "auto" else name] = engine
            engine.check_image(options.image)
            errors.print(
                f"{engine.describe()['engine']}: {choice.why}", markup=False, soft_wrap=True
            )
            warn(choice.warning)
        asked = Verification(
            list(variants.values()), engines, wanted, options.profile, options.image, options.replay
        )
        findings: list[ProofResult] = []
        try:
            with _showing(asked) as show:
                for finding in verify(asked, show, jobs=options.jobs):
                    findings.append(finding)
                    _tell(finding, debug=options.debug)
        finally:  # after an interruption too, report what is known
            order = [
                (name, variant.label, prop)
                for name in engines
                for variant in asked.runners
                for prop in wanted
            ]
            findings.sort(
                key=lambda finding: order.index((finding.engine, finding.runner, finding.name))
            )
            _report(asked.facts(), findings, options, of=asked.size)
    return STATUS[judge_matrix(findings)]


def _spread(options: argparse.Namespace, variants: list[Variant], wanted: list[Property]) -> int:
    """Prove on the machines of a cluster, one kind of engine after the other."""
    from harness.measure import cluster  # noqa: PLC0415 - see above
    from harness.measure.cluster import verifying  # noqa: PLC0415
    from harness.verify.matrix import Verification, judge_matrix  # noqa: PLC0415

    if len(options.engine or []) > 1:
        raise UsageError(
            "on a cluster each worker has its own engine; give --engine once, or leave it out"
        )
    asked = Verification(variants, {}, wanted, options.profile, options.image, options.replay)
    findings: list[ProofResult] = []
    with cluster.Cluster(options.dask, remark) as connected:
        machines = connected.machines((options.engine or ["auto"])[0], options.image)
        engines = verifying.by_engine(machines)
        facts = asked.facts({name: alike[0].facts["engine"] for name, alike in engines.items()})
        size = len(engines) * len(variants) * len(wanted)
        try:
            for name, alike in engines.items():
                for done in verifying.verify_on_workers(
                    connected,
                    alike,
                    [variant.label for variant in variants],
                    wanted,
                    engine=name if options.engine is None else options.engine[0],
                    profile=options.profile,
                    image=options.image,
                    replay=options.replay,
                ):
                    findings.append(done.result)
                    _tell(done.result, debug=options.debug, where=f" at {done.machine.address}")
        finally:
            order = [(variant.label, name) for variant in variants for name in wanted]
            findings.sort(
                key=lambda finding: (finding.engine, order.index((finding.runner, finding.name)))
            )
            _report(facts, findings, options, of=size)
    return STATUS[judge_matrix(findings)]


def _report(
    facts: Mapping[str, Any],
    findings: Sequence[ProofResult],
    options: argparse.Namespace,
    *,
    of: int,
) -> None:
    """Print the findings, and write them to --json; `of` is how many were asked for."""
    from harness.report import matrix  # noqa: PLC0415 - see above

    out: Path | None = options.json
    if findings:
        console.print(matrix.report(findings, image=options.image, width=console.width), crop=False)
    if len(findings) < of:
        console.print(f"stopped after {len(findings)} of {of}; the rest was not tried")
    if out is not None:
        written = matrix.as_json(facts, findings, complete=len(findings) == of)
        out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
        console.print(f"written to {out}", markup=False, soft_wrap=True)


def _tell(finding: ProofResult, *, debug: bool, where: str = "") -> None:
    """Print a line for the finding in a log, and its traceback with --debug."""
    from harness.report import matrix  # noqa: PLC0415 - see above

    if not errors.is_terminal:
        words = f"{finding.name} of {finding.runner} on {finding.engine}: {matrix.cell(finding)}"
        errors.print(
            f"{words}, {finding.seconds:.1f} s{where}", style="dim", markup=False, soft_wrap=True
        )
    if debug and finding.traceback:
        errors.print(finding.traceback, markup=False, soft_wrap=True)


def _check_writable(out: Path) -> None:
    """Raise UsageError if the file cannot be written, rather than after minutes of proving."""
    try:
        with out.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror}; give another --json"
        ) from error


@contextmanager
def _showing(asked: Verification) -> Iterator[Callable[[Cell], None]]:
    """Show progress: a bar on a terminal. In a log each finding has a line."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("starting", total=asked.size)

        def show(cell: Cell) -> None:
            progress.update(
                task, description=f"{cell.name} of {cell.runner}", completed=cell.number - 1
            )

        yield show
