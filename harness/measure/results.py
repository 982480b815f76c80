"""The result file: JSON lines, written as samples come, so that a killed run leaves it readable.

The first line, `start`, says where, what and how. Each `sample` line is one test event. The last
line, `end`, says that the run was not cut short. results/schema.json is the schema of a line.
Version 1 is still read: it had only full and incremental builds, one machine, and neither processor
time nor memory.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from harness.inside.errors import UsageError
from harness.measure.metrics import RESULT_COLUMNS, SAMPLE_FIELDS
from harness.measure.trials.metric import Metric
from harness.measure.trials.sample import Sample
from harness.runners.run import PHASES

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA = 2
_READ = (1, _SCHEMA)
"""The versions that this harness reads."""


class ResultFile:
    """A result file being written; as a context manager it writes the end if nothing went wrong."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Start the file with the `facts` of the run. Raises UsageError if it cannot be written."""
        self.path = path
        try:
            self._file: IO[str] = path.open("x", encoding="utf-8")
        except FileExistsError:
            raise UsageError(f"{path} already exists; remove it or give another --out") from None
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written: {error.strerror}; give another --out"
            ) from error
        self._samples = 0
        self._write({"kind": "start", "schema": _SCHEMA, **facts})

    def add(self, sample: Sample) -> None:
        self._samples += 1
        self._write({"kind": "sample", **asdict(sample)})

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._write({"kind": "end", "ended": now, "samples": self._samples})
        self._file.close()
        if error is not None and not self._samples:
            self.path.unlink(missing_ok=True)  # nothing was measured

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


@dataclass(frozen=True)
class Recording:
    """The content of a result file, converted to the newest version."""

    path: Path
    """The file."""
    facts: Mapping[str, Any]
    """The first line."""
    samples: Sequence[Sample]
    """At least one, in the order of the file."""
    complete: bool
    """Whether the run was not cut short."""


def read_result(path: Path) -> Recording:
    """Read the recording in a file.

    The file of a killed run has no end and perhaps half a last line: its recording is not complete.

    Raises UsageError, in one line with the place, for a file that is not a result: damaged in the
    middle, empty, of an unknown version, or without a single sample.
    """
    lines = list(_lines(path))
    number, facts = lines[0] if lines else (0, {})
    if facts.get("kind") != "start":
        raise UsageError(f"{path} is not a result file: its first line is not the start of a run")
    if (version := facts.get("schema")) not in _READ:
        raise UsageError(
            f"{path}: its schema is version {version}; this harness reads {_either(_READ)}"
        )
    if version == 1:
        facts = _as_version_2(facts)
    for key, kind in (("engine", dict), ("tree", str), ("runners", list), ("machines", dict)):
        if not isinstance(facts.get(key), kind):
            raise UsageError(f"{path}:{number}: the start of the run has no {key}")
    samples = []
    end = None
    for number, line in lines[1:]:
        if end is not None:
            raise UsageError(
                f"{path}:{number}: there is more after the end of the run; were two files joined?"
            )
        if line.get("kind") == "end":
            end = line
        elif line.get("kind") == "sample":
            samples.append(_sample(line, facts, f"{path}:{number}"))
        else:
            raise UsageError(f"{path}:{number}: this is not a line of a result file")
    if end is not None and end.get("samples", len(samples)) != len(samples):
        raise UsageError(
            f"{path} has only {len(samples)} of the {end['samples']} samples that were written"
        )
    if not samples:
        raise UsageError(f"{path} has no samples; the run was stopped before its first block ended")
    return Recording(path, facts, samples, complete=end is not None)


def load_results(*paths: str | os.PathLike[str]) -> pd.DataFrame:
    """Load recorded results as one tidy frame with a row for each sample.

    The floor is the runner `bare-make`. A value that is unknown is NaN. The reference of result
    files has the columns, with their units and meanings, as `harness.measure.metrics` does.

    Raises UsageError, with the place, for a file that is not a result.

    >>> import harness
    >>> frame = harness.load_results("results/recordings/typical-docker.jsonl")
    >>> edited = frame[frame["scenario"] == "incremental"].groupby("runner")["recompiled"].max()
    >>> int(edited["bare-make"]), int(edited["katas-data-container"]), int(edited["tmp"])
    (1, 1, 24)
    """
    if not paths:
        raise UsageError("give at least one result file")
    return to_frame([read_result(Path(path)) for path in paths])


def to_frame(recordings: Sequence[Recording]) -> pd.DataFrame:
    """Make the frame of `load_results` from at least one recording."""
    import pandas as pd  # noqa: PLC0415 - slow to import

    rows = [row for recording in recordings for row in _rows(recording)]
    frame = pd.DataFrame(rows, columns=list(RESULT_COLUMNS))
    return frame.astype({name: each.dtype for name, each in RESULT_COLUMNS.items() if each.dtype})


def incomplete(frame: pd.DataFrame) -> list[str]:
    """Return the files of runs that were cut short."""
    return sorted(frame.loc[~frame["complete"], "file"].unique())


def _rows(recording: Recording) -> Iterator[dict[str, Any]]:
    for sample in recording.samples:
        machine = recording.facts["machines"].get(sample.machine, recording.facts)
        row = asdict(sample)
        phases = row.pop("phases")
        yield {
            "file": str(recording.path),
            "complete": recording.complete,
            "engine": machine["engine"]["engine"],
            "storage_driver": machine["engine"]["storage driver"],
            "build": sample.scenario,
            "processor": machine.get("cpu") or "",
            "processors": machine.get("processors"),
            **row,
            **{f"phase_{kind}": phases.get(kind) for kind in PHASES},
        }


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each line with its number."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"{path} cannot be read: {reason}") from error
    texts = text.splitlines()
    for number, raw in enumerate(texts, 1):
        try:
            line = json.loads(raw)
        except ValueError:
            if number == len(texts) and number > 1 and not text.endswith("\n"):
                return  # a killed run may leave half a line at the end
            line = None
        if not isinstance(line, dict):
            hint = "; give a file of harness verify with --proofs" if raw == "{" else ""
            raise UsageError(f"{path}:{number}: this is not a line of a result file{hint}")
        yield number, line


def _sample(line: Mapping[str, Any], facts: Mapping[str, Any], place: str) -> Sample:
    older = {"scenario": line["build"]} if "build" in line else {}
    given = {"machine": facts["machine"], "tree": facts["tree"], **older, **line}
    known = {name: given[name] for name in SAMPLE_FIELDS if name in given}
    for name, metric in SAMPLE_FIELDS.items():
        if name in known:
            _check(known[name], metric, name, place)
        elif metric.required:
            raise UsageError(f"{place}: this sample has no {name}")
    if known["seconds"] == 0:
        raise UsageError(f"{place}: a test event cannot take 0 seconds")
    return Sample(**known)


def _check(value: Any, metric: Metric, name: str, place: str) -> None:
    """Raise UsageError for a value that the metric cannot have."""
    if not (_fits(value, metric) or (value is None and metric.missing)):
        raise UsageError(f"{place}: the {name} of this sample cannot be {json.dumps(value)}")
    if metric.type is dict:
        for key, figure in value.items():
            _check(figure, replace(metric, type=float, values=()), key, place)


def _fits(value: Any, metric: Metric) -> bool:
    if metric.type in (int, float):
        kinds = int if metric.type is int else (int, float)
        return (
            isinstance(value, kinds)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and (metric.least is None or value >= metric.least)
        )
    if not isinstance(value, metric.type):
        return False
    return not metric.values or metric.type is dict or value in metric.values


def _as_version_2(facts: Mapping[str, Any]) -> dict[str, Any]:
    name = str(facts.get("machine", ""))
    here = {key: facts.get(key) for key in ("engine", "image", "tar", "processors")}
    return {
        **facts,
        "machines": {name: here},
        "machine": name,
        "scenarios": ["full", "incremental"],
    }


def _either(versions: Sequence[int]) -> str:
    return " and ".join(map(str, versions))
