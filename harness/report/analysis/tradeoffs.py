"""The trade-offs of the runners, computed from proofs and measurements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.inside.errors import UsageError
from harness.measure import stats
from harness.measure.trials.arms import FLOOR
from harness.measure.units import seconds
from harness.report.analysis.findings import COLUMNS
from harness.runners.claims import Property

if TYPE_CHECKING:
    import pandas as pd

TAIL = 0.95
"""The quantile at which the slowest twentieth begins."""

PROVEN = {
    "incremental": Property.INCREMENTAL,
    "atomic": Property.ATOMIC,
    "isolated": Property.ISOLATED,
    "no uid on the host": Property.OWNERSHIP,
}
"""Columns that come from proofs."""

DISK = ("disk_visible", "disk_extra", "disk_history")
"""Columns of a frame whose sum is how much the katas grew."""


def trade_offs(
    frame: pd.DataFrame, findings: pd.DataFrame | None = None, *, build: str = "incremental"
) -> pd.DataFrame:
    """Make a row for each runner on each engine, the floor included, with the columns

    - engine, runner;
    - incremental, atomic, isolated, no uid on the host: `proved`, `refuted`, `unknown`, or
      `not tried` if the findings (from `load_findings`) have none;
    - coupling: whether the command ran in the katas themselves (`direct`), on a copy that comes
      back (`by pipe`), or on one that does not (`none`), as the piped bytes show;
    - copies: how often a test event copied the bytes of the tree;
    - bytes: piped in and out, the median;
    - disk growth: bytes that a test event added to the katas, the history included, the median;
    - samples: their number; median, tail: seconds until the katas held the result, the median and
      the start of the slowest twentieth;
    - ratio: to bare make, the median of the ratios within blocks; ratio low, ratio high: the ends
      of its interval at `harness.measure.stats.SHOWN_CONFIDENCE`, NaN with too few blocks;
    - answered, answered ratio: like median and ratio, but until the output was in hand.

    A figure that an older recording lacks is NaN.

    Raises UsageError for a frame without a completed build of this kind.

    >>> import harness
    >>> frame = harness.load_results("results/recordings/typical-docker.jsonl")
    >>> table = trade_offs(frame).set_index("runner")
    >>> runners = ("katas-volume", "katas-data-container", "tmp")
    >>> [str(table.loc[name, "coupling"]) for name in runners]
    ['direct', 'by pipe', 'none']
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    done = frame[(frame["build"] == build) & (frame["outcome"] == "completed")]
    if done.empty:
        raise UsageError(f"these results have no completed {build} build")
    moments = ["seconds", "answered_seconds"]
    # One a block, unless several avatars play at once.
    floor = done[done["runner"] == FLOOR].groupby(["file", "block"])[moments].median()
    known = pd.DataFrame(columns=list(COLUMNS)) if findings is None else findings
    rows = []
    for (engine, runner), samples in done.groupby(["engine", "runner"]):
        beneath = floor.reindex(pd.MultiIndex.from_frame(samples[["file", "block"]]))
        proofs = known[(known["engine"] == engine) & (known["runner"] == runner)]
        status = dict(zip(proofs["property"], proofs["status"], strict=True))
        rows.append(
            {
                "engine": engine,
                "runner": runner,
                **{
                    name: "" if runner == FLOOR else status.get(prop, "not tried")
                    for name, prop in PROVEN.items()
                },
                "coupling": "" if runner == FLOOR else _coupling(samples),
                "copies": 0 if runner == FLOOR else _copies(samples),
                "bytes": int(samples["bytes_in"].median() + samples["bytes_out"].median()),
                "disk growth": 0.0 if runner == FLOOR else _growth(samples),
                "samples": len(samples),
                "median": float(samples["seconds"].median()),
                "tail": float(samples["seconds"].quantile(TAIL)),
                "ratio": _ratio(samples, beneath, "seconds"),
                **dict(zip(_ENDS, _interval(samples, beneath), strict=True)),
                "answered": float(samples["answered_seconds"].median()),
                "answered ratio": _ratio(samples, beneath, "answered_seconds"),
            }
        )
    table = pd.DataFrame(rows)
    return table.sort_values(["engine", "median"], ignore_index=True)


def verdict(table: pd.DataFrame) -> str:
    """Name in one sentence the fastest runner on each engine for which everything was proved."""
    runners = table[table["runner"] != FLOOR]
    wanted = "incremental, atomic, isolated and need no uid on the host"
    if not (runners[list(PROVEN)] != "not tried").to_numpy().any():
        return f"Without proofs (--proofs) it is unknown which of these runners are {wanted}."
    return (
        f"Fastest of the runners that are {wanted}: "
        + "; ".join(_best(engine, rows) for engine, rows in runners.groupby("engine"))
        + "."
    )


def _best(engine: object, runners: pd.DataFrame) -> str:
    proven = runners[(runners[list(PROVEN)] == "proved").all(axis=1)]
    if proven.empty:
        return f"on {engine} none of the measured ones"
    best = proven.sort_values("median").to_dict("records")[0]
    cost = f"{seconds(best['median'])} at the median, {best['ratio']:.2f} times a bare make"
    return f"on {engine} {best['runner']}, with {cost}"


def _growth(samples: pd.DataFrame) -> float:
    return float(samples[list(DISK)].astype("float64").sum(axis=1, skipna=False).median())


def _ratio(samples: pd.DataFrame, beneath: pd.DataFrame, moment: str) -> float:
    """Return the median, over blocks, of the ratio to the floor of the time until this moment."""
    import pandas as pd  # noqa: PLC0415 - see above

    return float(pd.Series(samples[moment].to_numpy() / beneath[moment].to_numpy()).median())


_ENDS = ("ratio low", "ratio high")


def _interval(samples: pd.DataFrame, beneath: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of the interval of the ratio; NaN for too few blocks, and for the floor."""
    times, floor = samples["seconds"].to_numpy(), beneath["seconds"].to_numpy()
    known = (times > 0) & (floor > 0)
    enough = known.sum() >= stats.least_blocks(stats.SHOWN_CONFIDENCE)
    if not enough or (samples["runner"] == FLOOR).all():
        return math.nan, math.nan
    interval = stats.paired(times[known], floor[known], stats.SHOWN_CONFIDENCE)
    return interval.low, interval.high


def _coupling(samples: pd.DataFrame) -> str:
    if not samples["bytes_in"].any():
        return "direct"
    return "by pipe" if samples["bytes_out"].any() else "none"


def _copies(samples: pd.DataFrame) -> int:
    """Count one copy for saving the visible files, and one for each pipe."""
    return 1 + int(samples["bytes_in"].median() > 0) + int(samples["bytes_out"].median() > 0)
