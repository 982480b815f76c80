"""Which small wrong variants of the code do its tests catch? A line for each module, and a total."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutation.modules import EQUIVALENT, MODULES, Equivalent
from tests.mutation.trial import Trial
from tests.mutation.variants import Variant, variants


@dataclass
class Score:
    """What became of the variants of a module."""

    killed: int = 0
    """Variants that a test caught."""
    equivalent: int = 0
    """Variants that change nothing, for a written reason."""
    survivors: list[Variant] = field(default_factory=list)
    """The others."""

    def __add__(self, other: Score) -> Score:
        survivors = self.survivors + other.survivors
        return Score(self.killed + other.killed, self.equivalent + other.equivalent, survivors)

    def line(self, name: str) -> str:
        tried = self.killed + len(self.survivors)
        share = f"{self.killed / tried:6.1%}" if tried else "     -"
        return f"{name:34} {self.killed:6} {len(self.survivors):8} {self.equivalent:10} {share:>7}"


def excused(variant: Variant, source: str) -> Equivalent | None:
    """Return the entry of EQUIVALENT that a variant is, if any."""
    changed = [line for line in variant.diff(source).splitlines()[2:] if line[0] in "+-"]
    old, new = ("\n".join(line[1:] for line in changed if line[0] == sign) for sign in "-+")
    return next(
        (
            known
            for known in EQUIVALENT
            if known.module == variant.module and known.line in old and known.variant in new
        ),
        None,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, metavar="N", help="of each module (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of the draw (default: %(default)s)")
    parser.add_argument(
        "--only", action="append", metavar="PART", help="modules whose path has this part; repeat"
    )
    options = parser.parse_args()
    modules = [module for module in MODULES if any(part in module for part in options.only or [""])]
    if not modules:
        parser.error("no module has that in its path")
    os.environ.setdefault("HARNESS_TEST_ENGINES", "local")
    drawn = "all variants" if options.sample is None else f"{options.sample} variants of each"
    print(f"{f'{drawn}, seed {options.seed}':34} killed survived equivalent   score", flush=True)
    total = Score()
    with TemporaryDirectory(prefix="mutation-") as folder:
        trial = Trial(Path(folder))
        for module in modules:
            score = examine(trial, module, seed=options.seed, sample=options.sample)
            print(score.line(module), flush=True)
            total += score
    print(total.line("total"))
    return 0


def examine(trial: Trial, module: str, *, seed: int, sample: int | None) -> Score:
    """Try the variants of one module."""
    source, tests = (trial.folder / module).read_text(), MODULES[module]
    limit = 5 * trial.seconds(tests) + 5
    score = Score()
    for variant in variants(module, source, seed=seed, sample=sample):
        if excused(variant, source):
            score.equivalent += 1
        elif trial.survives(module, variant.code(source), tests, limit):
            score.survivors.append(variant)
            print(variant.diff(source), flush=True)
        else:
            score.killed += 1
        if sys.stderr.isatty():
            tried = score.killed + score.equivalent + len(score.survivors)
            print(f"\r{module}: {tried}", end="\r", file=sys.stderr)
    return score


if __name__ == "__main__":
    sys.exit(main())
