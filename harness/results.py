"""The result file: JSON lines, written as the samples come, so that a killed run leaves a readable file.

The first line, `start`, says where, what and how; each `sample` line is one test event; the last line, `end`,
says that the run was not cut short. results/schema.json has the schema of a line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.runners.run import PHASES
from harness.trials.sample import Sample

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1


class ResultFile:
    """A result file under way; a context manager that ends it properly if nothing went wrong."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Start the file with `facts` of the run. Raises UsageError where it cannot be written."""
        self.path = path
        try:
            self._file: IO[str] = path.open("x", encoding="utf-8")
        except FileExistsError:
            raise UsageError(f"{path} exists already; remove it or give another --out") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}; give another --out") from error
        self._samples = 0
        self._write({"kind": "start", "schema": SCHEMA, **facts})

    def add(self, sample: Sample) -> None:
        self._samples += 1
        self._write({"kind": "sample", **asdict(sample)})

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._write({"kind": "end"})
        self._file.close()
        if error is not None and not self._samples:
            self.path.unlink(missing_ok=True)  # nothing was measured: leave no file behind

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def load_results(*paths: str | os.PathLike[str]) -> pd.DataFrame:
    """Recorded results as one tidy frame, one row a sample, the floor included as runner `bare-make`.

    Columns: file, complete (whether the run came to its end), runner, engine, storage_driver, tree, build
    (full or incremental), block, place, outcome, status, seconds, recompiled, mtimes_kept, mtimes_changed,
    answer, right, bytes_in, bytes_out, reason, and seconds in each kind of phase: phase_open, phase_save, phase_start,
    phase_pipe_in, phase_run, phase_pipe_out, phase_commit (NaN where the runner has none). Raises UsageError,
    with the place, for a file that is no result.
    """
    import pandas as pd  # noqa: PLC0415 - half a second, which only those who analyse should pay

    if not paths:
        raise UsageError("give at least one result file")
    rows = [row for path in paths for row in _rows(Path(path))]
    frame = pd.DataFrame(rows)
    for column in ("recompiled", "mtimes_kept", "mtimes_changed", "status"):
        frame[column] = frame[column].astype("Int64")
    frame["right"] = frame["right"].astype("boolean")
    return frame


def read_facts(path: Path) -> dict[str, Any]:
    """The first line of a result file. Raises UsageError for a file that is none."""
    return _lines(path)[0]


def _rows(path: Path) -> list[dict[str, Any]]:
    lines = _lines(path)
    facts = lines[0]
    samples = [line for line in lines[1:] if line["kind"] == "sample"]
    if not samples:
        raise UsageError(
            f"{path}: there is no sample in it; the run was stopped before its first block had ended"
        )
    common = {
        "file": str(path),
        "complete": lines[-1]["kind"] == "end",
        "engine": facts["engine"]["engine"],
        "storage_driver": facts["engine"]["storage driver"],
        "tree": facts["tree"],
    }
    return [common | _row(line) for line in samples]


def _row(line: Mapping[str, Any]) -> dict[str, Any]:
    row = {key: value for key, value in line.items() if key not in ("kind", "phases")}
    return row | {f"phase_{kind}": line["phases"].get(kind) for kind in PHASES}


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"{path} cannot be read: {reason}") from error
    lines = []
    texts = text.splitlines()
    for number, each in enumerate(texts, 1):
        try:
            lines.append(json.loads(each))
        except ValueError:
            if number == len(texts) and number > 1:
                break  # a killed run may leave half of its last line
            raise UsageError(f"{path}:{number}: this is no line of a result file") from None
    if not lines or lines[0].get("kind") != "start":
        raise UsageError(f"{path}: this is no result file: its first line is not the start of a run")
    if lines[0].get("schema") != SCHEMA:
        raise UsageError(
            f"{path}: its schema is version {lines[0].get('schema')}; this harness reads version {SCHEMA}"
        )
    return lines
