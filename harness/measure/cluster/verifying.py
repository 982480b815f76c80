"""A matrix of findings that is spread over the machines of a cluster: a property of a runner is one machine's job."""

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
    engine: str
    name: Property
    profile: str
    image: str | None
    replay: str | None


def prove(claim: Claim) -> ProofResult:
    """What a worker finds, on its own engine."""
    with closing(choose(claim.engine, image=claim.image).engine) as engine:
        subject = Subject(runners.parse_variant(claim.runner), engine, claim.engine, claim.image)
        return examine(subject, claim.name, PROFILES[claim.profile], replay=claim.replay)


def by_engine(machines: Sequence[Machine]) -> dict[str, list[Machine]]:
    """Machines by the name of their engine, `docker` or `local`: a property is a runner's on an engine, so only
    machines with the same one can share its proofs.
    """
    found: dict[str, list[Machine]] = {}
    for each in machines:
        name = "docker" if each.facts["engine"]["engine"].startswith("docker") else "local"
        found.setdefault(name, []).append(each)
    return found


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
    """The findings as they come, of these machines, which all have this engine."""
    claims = (
        Claim(label, engine, name, profile, image, replay)
        for label in labels
        for name in properties
    )
    yield from cluster.spread(machines, prove, claims)
