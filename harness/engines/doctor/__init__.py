"""What this machine has, what follows from it, and what to install for more.

A value in the end, made by probes that change nothing, leave nothing behind and fail softly: what cannot be
examined is a finding too. Wherever a property can be tried it is tried (a tree goes through the tar-pipe, a
program is compiled, files are stamped), since a version only promises.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from harness.engines import Engine, Limits, SandboxSpec
from harness.engines.doctor import docker, file_systems, local, machine, programs
from harness.engines.doctor.finding import (
    Diagnosis,
    Finding,
    FindingGroup,
    FindingState,
    Fitness,
    builds_nothing,
)
from harness.engines.doctor.round_trip import TRIP_SECONDS, lacking, read_compiler
from harness.inside.errors import EngineError

__all__ = [
    "Diagnosis",
    "Finding",
    "FindingGroup",
    "FindingState",
    "Fitness",
    "check_builds",
    "examine",
]

MEASURED = 5
"""Containers that are started to measure: the median of so many stands a noisy machine."""


def check_builds(engine: Engine, image: str | None) -> None:
    """Raise EngineError, with what to do, for an engine whose sandboxes build no C: the doctor's own question, of one engine."""
    spec = SandboxSpec(image=image, limits=Limits(event_seconds=TRIP_SECONDS))
    with closing(engine.open(spec)) as sandbox:
        lacks = lacking(sandbox)
    if lacks:
        raise EngineError(
            f"not ready: {builds_nothing(engine.name, lacks)}; `harness doctor` says more"
        )


def examine(
    *, measure: bool = False, report: Callable[[str], None] = lambda line: None
) -> Diagnosis:
    """Look at this machine: a few seconds. With `measure` the storage driver's cost is a median, not one try."""
    count = MEASURED if measure else 1
    report("the compiler on the host")
    host_seconds = read_compiler(count)
    report("Docker")
    docker_findings, docker_fitness = docker.examine(count, host_seconds, report)
    report("the local engine")
    local_findings, local_fitness = local.examine()
    report("programs")
    program_findings = programs.examine()
    report("file systems")
    groups = (
        FindingGroup("Docker engine", docker_findings),
        FindingGroup("Local engine", local_findings),
        FindingGroup("Programs on this machine", program_findings),
        *file_systems.examine(),
        FindingGroup("Machine", machine.examine()),
    )
    return Diagnosis(groups, {"docker": docker_fitness, "local": local_fitness})
