"""Durable: no power failure undoes an accepted test event, or leaves anything torn.

Whenever the power fails, the katas hold the state before a test event or the one after it, whole.
The file system promises no more than POSIX does: only what was forced to the disk is there for
sure, with any part of the rest.

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
