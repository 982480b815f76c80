"""Find out what this machine has, what that means, and what to install for more.

The probes change nothing and leave nothing behind. What cannot be examined is a finding too. They
try whatever can be tried (they pipe a tree, compile a program and stamp files), because a version
number only promises.
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
from harness.engines.doctor.others import plug_in_groups
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
"""Containers that are started to measure; the median is stable on a noisy machine."""


def check_builds(engine: Engine, image: str | None) -> None:
    """Raise EngineError, with what to do, if the engine's sandboxes cannot build C."""
    spec = SandboxSpec(image=image, limits=Limits(event_seconds=TRIP_SECONDS))
    with closing(engine.open(spec)) as sandbox:
        lacks = lacking(sandbox)
    if lacks:
        in_image = engine.makes_images or image is not None
        said = builds_nothing(engine.name, lacks, makes_images=in_image)
        raise EngineError(f"not ready: {said}; `harness doctor` says more")


def examine(
    *, measure: bool = False, report: Callable[[str], None] = lambda line: None
) -> Diagnosis:
    """Examine this machine, which takes a few seconds.

    `measure`: measure the storage driver by a median, not by one try. `report` gets a line of
    progress at a time.
    """
    count = MEASURED if measure else 1
    report("the compiler on the host")
    host_seconds = read_compiler(count)
    report("Docker")
    docker_findings, docker_fitness = docker.examine(count, host_seconds, report)
    report("the local engine")
    local_findings, local_fitness = local.examine()
    other_groups = tuple(plug_in_groups(report))
    report("programs")
    program_findings = programs.examine()
    report("file systems")
    groups = (
        FindingGroup("Docker engine", docker_findings),
        FindingGroup("Local engine", local_findings),
        *other_groups,
        FindingGroup("Programs on this machine", program_findings),
        *file_systems.examine(),
        FindingGroup("Machine", machine.examine()),
    )
    return Diagnosis(groups, {"docker": docker_fitness, "local": local_fitness})
