"""Measures which property, or test, kills which mutant, for docs/reference/mutants.md."""

from __future__ import annotations

import argparse
import sys

from harness.runners.claims import Property
from tests.mutants.catalogue import CONTROL, MUTANTS
from tests.mutants.hostile import SPOILED
from tests.mutants.table import PAGE, as_markdown, measure, try_spoiled, verdict


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} too")
    parser.add_argument(
        "--only",
        action="append",
        metavar="MUTANT",
        help="may be given several times; not with --write",
    )
    parser.add_argument(
        "--property", action="append", choices=[str(name) for name in Property], metavar="NAME"
    )
    parser.add_argument(
        "--at-once", type=int, default=2, metavar="N", help="mutants (default %(default)s)"
    )
    options = parser.parse_args()
    if options.write and (options.only or options.property):
        parser.error("--write needs the whole table")
    mutants = [
        mutant for mutant in (CONTROL, *MUTANTS) if mutant.name in (options.only or [mutant.name])
    ]
    spoiled = [
        mutant
        for mutant in SPOILED
        if mutant.name in (options.only or [mutant.name]) and not options.property
    ]
    wanted = [Property(name) for name in options.property or Property]

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    rows = measure(mutants, wanted, report, at_once=options.at_once)
    page = as_markdown(rows)
    print(page)
    if options.write:
        PAGE.write_text(page)
    complaints = [*verdict(rows), *try_spoiled(spoiled, report)]
    for complaint in complaints:
        print(f"mutants: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
