"""A sample for the tests, with whatever it takes for granted."""

from __future__ import annotations

from harness.measure.trials.sample import Sample


def sample(runner: str = "tmp", **changes: object) -> Sample:
    fields: dict[str, object] = {
        "runner": runner,
        "scenario": "full",
        "block": 0,
        "place": 1,
        "outcome": "completed",
        "status": 0,
        "seconds": 1.5,
        "recompiled": 24,
        "mtimes_kept": None,
        "mtimes_changed": None,
        "answer": "answer: 1",
        "right": True,
        "bytes_in": 10,
        "bytes_out": 0,
        "phases": {"run": 1.25},
    }
    return Sample(**(fields | changes))  # type: ignore[arg-type]
