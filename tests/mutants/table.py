"""The table of mutants and properties: measured, shown and judged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from harness.runners.claims import Property
from harness.verify.proofs import PROOFS, ProofResult, Status, examine
from harness.verify.proofs.shared.search import Effort
from tests import ROOT
from tests.mutants.catalogue import CONTROL, MUTANTS
from tests.mutants.hostile import SPOILED
from tests.mutants.mutant import Mutant
from tests.mutants.spoiled import Spoiled, try_it

PAGE = ROOT / "docs" / "reference" / "mutants.md"

EFFORT = Effort(0.3, deterministic=True, shrink_seconds=0.0)
"""A mutant must be killed, not understood: few examples, the same each time, without shrinking."""

CHEAP = frozenset({Property.EXACT_MTIMES, Property.NO_MISSED_EDIT, Property.INCREMENTAL})
"""The properties that every mutant is tried with."""

KILLED, SURVIVED, UNKNOWN = "killed", "·", "?"

SPOILED_TITLE = "## Mistakes that a test refutes"

WITHOUT: Mapping[Property, str] = {
    Property.NO_MISSED_EDIT: (
        "*behaves* has one case of it, an edit after files from the future, and `unbumped` fails "
        "both; only this property tries a race within a tick of the clock"
    ),
    Property.TIMED_OUT: (
        "users of the original rely on it, so *behaves* plays a run past its limit, and *fresh* "
        "needs one; only this property looks at what such a run leaves in the katas"
    ),
    Property.RENAMES: (
        "a runner only has to leave the sandbox alone for it; `katas-overlay`, which cannot, is "
        "refuted"
    ),
    Property.MIRROR: (
        "*behaves* has one case of it, a file that a run deleted, and *exact-mtimes* misses what "
        "is gone from the trees that it carries; only this property tries renames and changes of "
        "type from one test event to the next"
    ),
}
"""Properties for which no mutant is killed by them alone, and why."""


@dataclass(frozen=True)
class Row:
    """The results of one mutant."""

    mutant: Mutant
    findings: Mapping[Property, ProofResult]
    # Why it was not tried here.
    skipped: str = ""

    @property
    def killers(self) -> list[Property]:
        """Return the claims that were refuted; what an engine cannot promise is not claimed."""
        return [
            name
            for name, found in self.findings.items()
            if found.claimed and found.status is Status.REFUTED
        ]

    @property
    def lame(self) -> bool:
        """Whether all counterexamples are faulty test events: then it is just broken."""
        words = [
            found.counterexample.words for found in self.findings.values() if found.counterexample
        ]
        return bool(words) and all("a test event was faulty" in text for text in words)


def measure(
    mutants: Sequence[Mutant],
    properties: Sequence[Property],
    report: Callable[[str], None] = lambda line: None,
    *,
    at_once: int = 1,
) -> list[Row]:
    """Return a row for each mutant, measured `at_once` in parallel; `report` gets each result."""
    rows: dict[str, Row] = {}
    with ProcessPoolExecutor(at_once) as processes:
        tasks = {processes.submit(_findings, mutant.name, properties): mutant for mutant in mutants}
        for task in as_completed(tasks):
            mutant = tasks[task]
            why, findings = task.result()
            rows[mutant.name] = Row(mutant, findings, why)
            for name, found in findings.items():
                words = found.counterexample.words if found.counterexample else found.reason
                line = f"{mutant.name}: {name} {found.status}, {found.seconds:.1f} s {words[:200]}"
                report(line.rstrip())
    return [rows[mutant.name] for mutant in mutants]


def _findings(
    mutant: str, properties: Sequence[Property]
) -> tuple[str, dict[Property, ProofResult]]:
    """Return why the mutant cannot be tried here, or else the result of each proof."""
    (found,) = (known for known in (CONTROL, *MUTANTS) if known.name == mutant)
    if why := found.needs():
        return why, {}
    with tempfile.TemporaryDirectory() as home, found.subject(Path(home)) as subject:
        wanted = Property if found.whole else CHEAP | {found.killer}
        chosen = [name for name in properties if name in PROOFS and name in wanted]
        return "", {name: examine(subject, name, EFFORT) for name in chosen}


def verdict(rows: Sequence[Row]) -> list[str]:
    """Return complaints, a line each.

    They are: a mutant that survives, a proof that kills the honest runner, and a property that
    kills no mutant alone.
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
    """Return the page."""
    names = [name for name in Property if any(name in row.findings for row in rows)]
    lines = [
        "# Mutants: do the proofs have teeth?",
        "",
        "Each mutant is a runner, tar-pipe or engine with one mistake that somebody really made; "
        "they are in `tests/mutants`.",
        "The proofs are those of `harness verify`. "
        "`python -m tests.mutants --write` measures this table again.",
        "",
        f"| mutant | on | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for row in rows:
        cells = [_cell(row, name) for name in names]
        lines.append(f"| {row.mutant.name} | {row.mutant.engine_name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"`{KILLED}`: refuted. `{SURVIVED}`: the mistake does not break this property "
        "in the few examples tried. "
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
            "## Properties that kill no mutant alone, of those tried with all properties",
            "",
        ]
        lines += [f"- **{name}**: {why}" for name, why in WITHOUT.items()]
    return "\n".join(lines) + "\n"


def spoiled_lines() -> list[str]:
    """Return the section of the page on mistakes that a test refutes."""
    return [
        "",
        SPOILED_TITLE,
        "",
        "No property of a runner covers these. Each mutant is a change of the source, "
        "made in a copy of the package.",
        "",
        "| mutant | in | the test that fails |",
        "|---|---|---|",
        *(
            f"| {mutant.name} | `{mutant.changes[0].file}` "
            f"| `{mutant.function}` in `{mutant.file}` |"
            for mutant in SPOILED
        ),
        "",
        *(f"- **{mutant.name}**: {mutant.words}" for mutant in SPOILED),
    ]


def try_spoiled(
    spoiled: Sequence[Spoiled], report: Callable[[str], None] = lambda line: None
) -> list[str]:
    """Return complaints, a line each: a mutant whose test passes or does not run."""
    complaints = []
    for mutant in spoiled:
        result = try_it(mutant)
        outcome = "failed" if result.failed else result.skipped or "did not fail"
        report(f"{mutant.name}: {mutant.function} {outcome}")
        if result.skipped:
            complaints.append(f"{mutant.name} was not tried: {result.skipped}")
        elif not result.failed:
            said = " ".join(result.said.split())[-300:]
            complaints.append(f"{mutant.name} survives {mutant.test}: {said}")
    return complaints


def _cell(row: Row, name: Property) -> str:
    found = row.findings.get(name)
    if found is None:
        return UNKNOWN if row.skipped else ""
    if not found.claimed:
        return UNKNOWN
    return {Status.REFUTED: KILLED, Status.PROVED: SURVIVED, Status.UNKNOWN: UNKNOWN}[found.status]
