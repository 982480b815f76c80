"""Durable: once a test event is accepted, no failure of the power undoes it; and whenever the power fails, the katas are the
state before a test event or the state after it, whole, though the file system promises no more than POSIX does: nothing is on the
disk for sure but what was forced there, and of the rest any part.

See `harness.verify.proofs.power`. That what is left is whole where the file system keeps an order is a part of *atomic*.
"""

from __future__ import annotations

from harness.verify.proofs import power
from harness.verify.proofs.outage import CrashModel
from harness.verify.proofs.search import Search
from harness.verify.proofs.subject import Subject


def prove(subject: Subject, search: Search) -> None:
    """Refuted by the first state that is torn, or has lost what was accepted."""
    power.tried(
        subject,
        search,
        CrashModel.STRICT,
        states=round(power.STATES * max(1.0, search.effort.factor)),
    )
