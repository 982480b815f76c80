"""Proofs spread over the machines of a cluster: each property of a runner is one job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from harness import runners
from harness.engines.choice import choose
from harness.measure.cluster import Cluster, Done, Machine
from harness.runners.claims import Property
from harness.verify.proofs import PROFILES, ProofResult, Subject, examine


@dataclass(frozen=True)
class Claim:
    """One cell of the matrix, as it travels to a worker."""

    runner: str
    """The name of a runner, with its options."""
    engine: str
    """The name of an engine."""
    name: Property
    """What to prove."""
    profile: str
    """One of PROFILES."""
    image: str | None
    """The image of run-containers; None: harness-gcc."""
    replay: str | None
    """The token of the only counterexample to try; None: search for one."""


def prove(claim: Claim) -> ProofResult:
    """Examine the claim on this worker's own engine."""
    with closing(choose(claim.engine, image=claim.image).engine) as engine:
        subject = Subject(runners.parse_variant(claim.runner), engine, claim.engine, claim.image)
        return examine(subject, claim.name, PROFILES[claim.profile], replay=claim.replay)


def by_engine(machines: Sequence[Machine]) -> dict[str, list[Machine]]:
    """Group machines by the name of their engine.

    A property belongs to a runner on an engine, so only machines with the same one share proofs.
    """
    groups: dict[str, list[Machine]] = {}
    for machine in machines:
        groups.setdefault(machine.engine, []).append(machine)
    return groups


def verify_on_workers(
    cluster: Cluster,
    machines: Sequence[Machine],
    labels: Sequence[str],
    properties: Sequence[Property],
    *,
    engine: str,
    profile: str,
    image: str | None,
    replay: str | None,
) -> Iterator[Done[Claim, ProofResult]]:
    """Yield findings as they come from these machines, which all have this engine."""
    claims = (
        Claim(label, engine, name, profile, image, replay)
        for label in labels
        for name in properties
    )
    yield from cluster.spread(machines, prove, claims)
