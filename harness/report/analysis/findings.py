"""The findings that `harness verify --json` wrote, as a frame."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.inside.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA = 1

COLUMNS = (
    "engine",
    "runner",
    "property",
    "claimed",
    "status",
    "as_claimed",
    "examples",
    "words",
    "replay",
    "reason",
)


def load_findings(*paths: str | os.PathLike[str]) -> pd.DataFrame:
    """Load the findings of these files, one row for each, with the columns

    - engine (as result files describe it, not as the user named it), runner, property;
    - claimed; status: proved, refuted or unknown; as_claimed; examples: how many were tried;
    - words: the counterexample; replay: the command that tries it again; reason: why the status is
      unknown. Each of these three may be empty.

    Raises UsageError for a file that `harness verify --json` did not write.

    >>> findings = load_findings("results/recordings/verify-local.json")
    >>> atomic = findings[findings["property"] == "atomic"].set_index(["runner", "engine"])
    >>> str(atomic.loc[("katas-volume", "local, bubblewrap"), "status"])
    'refuted'
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    return pd.DataFrame([row for path in paths for row in _rows(Path(path))], columns=list(COLUMNS))


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not a file of harness verify --json: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("findings"), list):
        raise UsageError(f"{path} is not a file of harness verify --json: it has no findings")
    if document.get("schema") != _SCHEMA:
        raise UsageError(
            f"{path}: its schema is version {document.get('schema')}; this harness reads {_SCHEMA}"
        )
    try:
        return [_row(finding, document["engines"]) for finding in document["findings"]]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: a finding in it has no {error}") from error


def _row(finding: dict[str, Any], engines: dict[str, dict[str, str]]) -> dict[str, Any]:
    row = {name: finding[name] for name in COLUMNS if name not in ("engine", "words")}
    return row | {
        "engine": engines[finding["engine"]]["engine"],
        "words": (finding["counterexample"] or {}).get("words", ""),
        "replay": finding["replay"] or "",
        "reason": finding["reason"] or "",
    }
