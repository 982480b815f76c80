"""The verdict as a JSON document, for programs; results/gate-schema.json describes it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from harness.gate.verdict import Verdict

_SCHEMA = 1


def render(verdict: Verdict) -> str:
    """Return everything. The end of an open interval is null, since JSON has no infinity."""
    document = {
        "schema": _SCHEMA,
        "verdict": verdict.state,
        "exit_status": verdict.exit_status,
        "runners": {each.runner: each.state for each in verdict.runners},
        "rulings": [asdict(ruling) for ruling in verdict.rulings],
        "noise": [asdict(noise) for noise in verdict.noise],
        "remarks": list(verdict.remarks),
        "facts": dict(verdict.facts),
    }
    return json.dumps(_finite(document), indent=1) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
