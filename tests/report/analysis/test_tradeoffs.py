"""The trade-off table and its verdict come from samples and proofs alone."""

from __future__ import annotations

import statistics

import pandas as pd
import pytest

from harness.inside.errors import UsageError
from harness.report.analysis.findings import COLUMNS
from harness.report.analysis.tradeoffs import PROVEN, trade_offs, verdict
from tests.report.frames import frame


def findings(**status: dict[str, str]) -> pd.DataFrame:
    """Findings of the runners named, "_" for "-", each property to its status."""
    rows = [
        dict.fromkeys(COLUMNS)
        | {
            "engine": "docker 26",
            "runner": runner.replace("_", "-"),
            "property": name,
            "status": each,
        }
        for runner, found in status.items()
        for name, each in found.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


ALL_PROVED = {str(each): "proved" for each in PROVEN.values()}


def test_every_cell_comes_from_samples_or_proofs() -> None:
    """Medians, bytes and counts are those of the frame, statuses those of the findings; what was
    not proved is said to be not tried.
    """
    table = trade_offs(
        frame(), findings(katas_volume={**ALL_PROVED, "atomic": "refuted"})
    ).set_index("runner")
    volume = table.loc["katas-volume"]
    made = frame()
    mine = made[(made["runner"] == "katas-volume") & (made["build"] == "incremental")]
    floor = made[(made["runner"] == "bare-make") & (made["build"] == "incremental")]
    assert volume["median"] == pytest.approx(statistics.median(mine["seconds"]))
    ratios = [one / other for one, other in zip(mine["seconds"], floor["seconds"], strict=True)]
    assert volume["ratio"] == pytest.approx(statistics.median(ratios))
    assert volume["answered ratio"] == pytest.approx(0.75 * statistics.median(ratios))
    assert (volume["disk growth"], table.loc["bare-make", "disk growth"]) == (123, 0)
    assert volume["samples"] == 6
    assert (volume["incremental"], volume["atomic"], volume["isolated"]) == (
        "proved",
        "refuted",
        "proved",
    )
    assert set(table.loc["tmp", list(PROVEN)]) == {"not tried"}


def test_coupling_and_copies_are_read_off_the_bytes() -> None:
    """What is not piped in was run in the katas themselves; what is piped in and not out does not
    come back.
    """
    made = frame()
    made.loc[made["runner"] == "katas-volume", ["bytes_in", "bytes_out"]] = 0
    made.loc[made["runner"] == "tmp", "bytes_out"] = 0
    table = trade_offs(made).set_index("runner")
    assert dict(table["coupling"]) == {
        "bare-make": "",
        "katas-volume": "direct",
        "katas-data-container": "by pipe",
        "tmp": "none",
    }
    assert dict(table["copies"]) == {
        "bare-make": 0,
        "katas-volume": 1,
        "katas-data-container": 3,
        "tmp": 2,
    }


def test_what_an_older_recording_does_not_have_is_not_made_up() -> None:
    table = trade_offs(frame().assign(disk_history=None, answered_seconds=float("nan"))).set_index(
        "runner"
    )
    assert table.loc["tmp", ["disk growth", "answered", "answered ratio"]].isna().all()


def test_the_verdict_names_the_fastest_of_which_all_was_proved() -> None:
    """A faster one with a refuted property does not count."""
    known = findings(
        katas_volume={**ALL_PROVED, "atomic": "refuted"},
        katas_data_container=ALL_PROVED,
        tmp=ALL_PROVED,
    )
    assert "on docker 26 katas-data-container, with 5" in verdict(trade_offs(frame(), known))


def test_the_verdict_without_proofs_says_so() -> None:
    assert verdict(trade_offs(frame())).startswith("Without proofs (--proofs) it is unknown")


def test_the_verdict_where_none_will_do() -> None:
    known = findings(katas_volume={**ALL_PROVED, "atomic": "unknown"})
    assert "on docker 26 none of the measured ones" in verdict(trade_offs(frame(), known))


def test_nothing_completed_is_refused() -> None:
    with pytest.raises(UsageError, match="no completed incremental build"):
        trade_offs(frame().assign(outcome="faulty"))
