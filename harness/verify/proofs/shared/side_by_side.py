"""Several projects side by side in one sandbox, so that one test event plays all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.inside.tree import Snapshot
from harness.katas.visible import VisibleFile, VisibleFiles
from harness.runners.run import Run
from harness.verify.proofs.shared.subject import seen
from harness.verify.proofs.shared.verdict import Refuted

START, STATUS = "\x1e", "\x1f"
"""What is printed before the output of each project, and before its exit status."""

_SCRIPT = b"cyber-dojo.sh"


def join_projects(projects: Mapping[str, VisibleFiles]) -> VisibleFiles:
    """Put each project in the folder of its name, with a script that runs all of their scripts.

    A single project stays as it is.
    """
    if len(projects) == 1:
        return next(iter(projects.values()))
    lines = [
        f"printf '\\036'; printf '\\036' >&2; (cd {name} && ./cyber-dojo.sh); printf '\\037%d' $?"
        for name in projects
    ]
    script = "\n".join(["#!/bin/sh", *lines, ""]).encode()
    files: dict[bytes, VisibleFile] = {_SCRIPT: VisibleFile(script)}
    for name, project in projects.items():
        files |= {name.encode() + b"/" + path: file for path, file in project.items()}
    return VisibleFiles(files)


def part(run: Run, names: Sequence[str]) -> dict[str, Run]:
    """Split the run by project, as if each had been alone. Raises Refuted if one has no output."""
    if len(names) == 1:
        return {names[0]: run}
    outputs, errors = run.stdout.split(START)[1:], run.stderr.split(START)[1:]
    if len(outputs) != len(names):
        raise Refuted(
            f"only {len(outputs)} of {len(names)} projects printed something: "
            f"{' '.join(run.stderr.split())[:300]}"
        )
    observed = seen(run)
    found = {}
    for name, output, error in zip(names, outputs, errors, strict=True):
        stdout, _, status = output.partition(STATUS)
        here = replace(
            observed, before=_below(observed.before, name), after=_below(observed.after, name)
        )
        found[name] = replace(run, stdout=stdout, stderr=error, status=int(status), observed=here)
    return found


def _below(tree: Snapshot, name: str) -> Snapshot:
    folder = name.encode() + b"/"
    return {
        path.removeprefix(folder): entry for path, entry in tree.items() if path.startswith(folder)
    }
