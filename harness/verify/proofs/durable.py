"""Durable: once a test event is accepted, no failure of the power undoes it; and whenever the power fails, the katas are the
state before a test event or the state after it, whole, though the file system promises no more than POSIX does: nothing is on the
disk for sure but what was forced there, and of the rest any part.

`power.power_failures` searches for both. *Atomic* covers file systems that keep an order.
"""

from __future__ import annotations

from harness.verify.proofs.power import power_failures
from harness.verify.proofs.power.crash_model import CrashModel
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import Subject


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first state that is torn, or has lost an accepted test event."""
    power_failures.tried(
        subject,
        search,
        CrashModel.STRICT,
        states=round(power_failures.STATES * max(1.0, search.effort.factor)),
    )
