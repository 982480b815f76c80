"""The table of mutant by property: measured, shown and judged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from harness.runners.claims import Property
from harness.verify.proofs import PROOFS, ProofResult, Status, examine
from harness.verify.proofs.shared.search import Effort
from tests.mutants.catalogue import CONTROL, MUTANTS
from tests.mutants.hostile import SPOILED
from tests.mutants.mutant import Mutant
from tests.mutants.spoiled import Spoiled, try_it

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "mutants.md"

EFFORT = Effort(0.3, deterministic=True, shrink_seconds=0.0)
"""A mutant has to be killed, not to be understood: few examples, the same each time, as they come."""

CHEAP = frozenset({Property.EXACT_MTIMES, Property.NO_MISSED_EDIT, Property.INCREMENTAL})
"""What every mutant is tried with."""

KILLED, SURVIVED, UNKNOWN = "killed", "·", "?"

SPOILED_TITLE = "## Mistakes that a test refutes"

WITHOUT: Mapping[Property, str] = {
    Property.NO_MISSED_EDIT: "behaves has one case of it, an edit after files from the future, and `unbumped` fails both; a "
    "race within a tick of the clock is tried by this one alone",
    Property.TIMED_OUT: "a run past its limit is one of the things that users of the original rely on, so behaves asks for it, "
    "and fresh has to play one; what such a run leaves in the katas is looked at by this one alone",
    Property.RENAMES: "no runner has to do anything for it but to leave the sandbox alone; `katas-overlay`, which cannot, "
    "is refuted",
    Property.MIRROR: "behaves has one case of it, a file that a run deleted, and exact-mtimes misses what is gone from the trees "
    "that it carries; renames and changes of type from one test event to the next are tried by this one alone",
}
"""Properties that no mutant is killed by alone, and why."""


@dataclass(frozen=True)
class Row:
    """What became of one mutant."""

    mutant: Mutant
    findings: Mapping[Property, ProofResult]
    skipped: str = ""  # why it was not tried here

    @property
    def killers(self) -> list[Property]:
        """The claims that were refuted: what an engine cannot promise is nobody's mistake."""
        return [
            name
            for name, found in self.findings.items()
            if found.claimed and found.status is Status.REFUTED
        ]

    @property
    def lame(self) -> bool:
        """Whether all that it is killed by is that its test events fail: then it is no mutant, but broken."""
        words = [
            found.counterexample.words for found in self.findings.values() if found.counterexample
        ]
        return bool(words) and all("a test event was faulty" in each for each in words)


def measure(
    mutants: Sequence[Mutant],
    properties: Sequence[Property],
    report: Callable[[str], None] = lambda line: None,
    *,
    at_once: int = 1,
) -> list[Row]:
    """A row a mutant, so many at once; `report` hears what was found as it is."""
    rows: dict[str, Row] = {}
    with ProcessPoolExecutor(at_once) as processes:
        tasks = {processes.submit(_findings, each.name, properties): each for each in mutants}
        for task in as_completed(tasks):
            mutant = tasks[task]
            why, findings = task.result()
            rows[mutant.name] = Row(mutant, findings, why)
            for name, found in findings.items():
                words = found.counterexample.words if found.counterexample else found.reason
                report(
                    f"{mutant.name}: {name} {found.status}, {found.seconds:.1f} s {words[:200]}".rstrip()
                )
    return [rows[each.name] for each in mutants]


def _findings(
    mutant: str, properties: Sequence[Property]
) -> tuple[str, dict[Property, ProofResult]]:
    """Why it cannot be tried here, or else what each proof gave; in a process of its own."""
    (found,) = (each for each in (CONTROL, *MUTANTS) if each.name == mutant)
    if why := found.needs():
        return why, {}
    with tempfile.TemporaryDirectory() as home, found.subject(Path(home)) as subject:
        wanted = Property if found.whole else CHEAP | {found.killer}
        chosen = [name for name in properties if name in PROOFS and name in wanted]
        return "", {name: examine(subject, name, EFFORT) for name in chosen}


def verdict(rows: Sequence[Row]) -> list[str]:
    """What is wrong, a line each: a mutant that survives, a proof that kills the honest runner, a property without teeth of
    its own.
    """
    complaints = []
    for row in rows:
        if row.mutant is CONTROL:
            complaints += [f"{name} kills the honest runner" for name in row.killers]
        elif row.skipped:
            complaints.append(f"{row.mutant.name} was not tried: {row.skipped}")
        elif not row.killers:
            complaints.append(f"{row.mutant.name} survives")
        elif row.lame:
            complaints.append(
                f"{row.mutant.name} is not wrong but broken: its test events are faulty"
            )
    alone = {row.killers[0] for row in rows if row.mutant.whole and len(row.killers) == 1}
    tried = {name for row in rows for name in row.findings}
    complaints += [
        f"no mutant is killed by {name} alone, and no reason is given"
        for name in Property
        if name in tried and name not in alone and name not in WITHOUT
    ]
    return complaints


def as_markdown(rows: Sequence[Row]) -> str:
    """The page."""
    names = [name for name in Property if any(name in row.findings for row in rows)]
    lines = [
        "# Mutants: do the proofs have teeth?",
        "",
        "Each mutant is a runner, tar-pipe or engine with one mistake that somebody made; `tests/mutants` has them. The proofs",
        "are the same as in `harness verify`. `python -m tests.mutants --write` measures this table anew.",
        "",
        f"| mutant | on | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for row in rows:
        cells = [_cell(row, name) for name in names]
        lines.append(f"| {row.mutant.name} | {row.mutant.engine_name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"`{KILLED}`: refuted. `{SURVIVED}`: the mistake does not break this property, among few examples. "
        f"`{UNKNOWN}`: could not be tried. Empty: not tried.",
        "The first row has no mistake, and no proof may refute it.",
        "",
        "## The mistakes",
        "",
    ]
    lines += [
        f"- **{row.mutant.name}**: {row.mutant.words}" for row in rows if row.mutant is not CONTROL
    ]
    lines += spoiled_lines()
    if WITHOUT:
        lines += [
            "",
            "## Properties that no mutant which was tried on all of them is killed by alone",
            "",
        ]
        lines += [f"- **{name}**: {why}" for name, why in WITHOUT.items()]
    return "\n".join(lines) + "\n"


def spoiled_lines() -> list[str]:
    """Of the page: which test refutes what no property covers."""
    return [
        "",
        SPOILED_TITLE,
        "",
        "Of what no property of a runner covers, each mutant is a change of the source, made in a copy of the package.",
        "",
        "| mutant | in | the test that fails |",
        "|---|---|---|",
        *(
            f"| {each.name} | `{each.changes[0].file}` | `{each.function}` in `{each.file}` |"
            for each in SPOILED
        ),
        "",
        *(f"- **{each.name}**: {each.words}" for each in SPOILED),
    ]


def try_spoiled(
    spoiled: Sequence[Spoiled], report: Callable[[str], None] = lambda line: None
) -> list[str]:
    """What is wrong, a line each: a mutant whose test passes, or does not run. `report` hears what was found."""
    complaints = []
    for each in spoiled:
        result = try_it(each)
        report(
            f"{each.name}: {each.function} {'failed' if result.failed else result.skipped or 'did not fail'}"
        )
        if result.skipped:
            complaints.append(f"{each.name} was not tried: {result.skipped}")
        elif not result.failed:
            complaints.append(
                f"{each.name} survives {each.test}: {' '.join(result.said.split())[-300:]}"
            )
    return complaints


def _cell(row: Row, name: Property) -> str:
    found = row.findings.get(name)
    if found is None:
        return UNKNOWN if row.skipped else ""
    if not found.claimed:
        return UNKNOWN
    return {Status.REFUTED: KILLED, Status.PROVED: SURVIVED, Status.UNKNOWN: UNKNOWN}[found.status]
