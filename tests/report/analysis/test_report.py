"""What a report takes from results of several kinds at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.measure.results import load_results
from harness.report.analysis.report import make_report
from harness.report.analysis.tradeoffs import trade_offs
from tests import ROOT

RECORDINGS = ROOT / "results" / "recordings"


@pytest.fixture(scope="module")
def everything() -> list[Path]:
    return sorted(RECORDINGS.glob("*.jsonl"))


def test_each_kind_of_result_has_its_pictures(everything: list[Path]) -> None:
    """Sizes, files and loads too, each once; where the time goes is of the usual tree, and of one
    avatar.
    """
    titles = [each.title for each in make_report(everything).pictures]
    assert len(titles) == len(set(titles))
    for words in ("against the bytes of the tree", "against the files of the tree", "Many at once"):
        assert len([title for title in titles if words in title]) == 1
    assert len([title for title in titles if title.startswith("Every sample: incremental")]) == 3


def test_trade_offs_are_of_one_avatar_and_the_usual_tree(everything: list[Path]) -> None:
    """Whatever else is reported with them: the same rows as of the typical recording alone."""
    typical = trade_offs(load_results(RECORDINGS / "typical-docker.jsonl"))
    found = make_report(everything).trade_offs
    mine = found[found["engine"] == typical["engine"].iloc[0]].reset_index(drop=True)
    assert mine[["runner", "samples", "median", "ratio"]].equals(
        typical[["runner", "samples", "median", "ratio"]]
    )


def test_throughput_is_of_the_load_alone() -> None:
    """Nothing of another tree, and no runner that one avatar played, gets into its points."""
    load, typical = (RECORDINGS / f"{name}-docker.jsonl" for name in ("load", "typical"))
    words = []
    for given in ([load], [load, typical]):
        (picture,) = [each for each in make_report(given).pictures if "Many at once" in each.title]
        words += re.findall(r'aria-label="([^"]*)"', picture.svg)
    assert words[0] == words[1]
    assert "typical:cost=0.1 on docker" in words[0]


def test_a_load_can_be_reported_alone() -> None:
    """Where avatars play at once, the floor beneath a test event is the median of its block."""
    report = make_report([RECORDINGS / "load-docker.jsonl"])
    assert set(report.trade_offs["runner"]) >= {"bare-make", "katas-volume"}
    assert report.trade_offs["ratio"].notna().all()
