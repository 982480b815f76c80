"""Faults for tests; see `harness.verify.faults`, which proofs and the soak use too."""

from __future__ import annotations

from harness.verify.faults.faulty_engine import FaultyEngine
from harness.verify.faults.stream_faults import CutInput, CutOutput, KillAt, Refuse, StreamFault

__all__ = ["CutInput", "CutOutput", "FaultyEngine", "KillAt", "Refuse", "StreamFault"]
