"""python -m tests.mutants: which property, or test, kills which mutant, measured, as the tables of docs/reference/mutants.md."""

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
        "--only", action="append", metavar="MUTANT", help="may be given again; not with --write"
    )
    parser.add_argument(
        "--property", action="append", choices=[str(each) for each in Property], metavar="NAME"
    )
    parser.add_argument(
        "--at-once", type=int, default=2, metavar="N", help="mutants (default %(default)s)"
    )
    options = parser.parse_args()
    if options.write and (options.only or options.property):
        parser.error("--write needs the whole table")
    mutants = [each for each in (CONTROL, *MUTANTS) if each.name in (options.only or [each.name])]
    spoiled = [
        each
        for each in SPOILED
        if each.name in (options.only or [each.name]) and not options.property
    ]
    wanted = [Property(each) for each in options.property or Property]

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    rows = measure(mutants, wanted, report, at_once=options.at_once)
    page = as_markdown(rows)
    print(page)
    if options.write:
        PAGE.write_text(page)
    complaints = [*verdict(rows), *try_spoiled(spoiled, report)]
    for each in complaints:
        print(f"mutants: {each}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
