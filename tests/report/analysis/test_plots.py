"""Pictures: what is drawn is what was measured, with units, for everybody."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from harness.inside.errors import UsageError
from harness.measure.units import seconds
from harness.report.analysis import palette, plots
from harness.report.analysis.plots import canvas
from tests.report.frames import RUNNERS, frame, loads, sizes


def test_every_sample_is_a_point() -> None:
    """A distribution hides nothing: as many points as samples, each in its runner's colour."""
    figure = plots.distribution(frame())
    [axes] = figure.axes
    drawn = {}
    for points in axes.collections:
        colour = to_hex(points.get_facecolor()[0])
        drawn[colour] = sorted(float(x) for x, _ in points.get_offsets())
    made = frame()
    for runner in RUNNERS:
        rows = made[(made["runner"] == runner) & (made["build"] == "incremental")]
        assert drawn[palette.colour(runner)] == pytest.approx(sorted(rows["seconds"]))


def test_the_bars_of_phases_have_their_medians() -> None:
    """The widths of a runner's bars are the medians of its phases."""
    figure = plots.phases(frame())
    [axes] = figure.axes
    labels = [each.get_text() for each in axes.get_yticklabels()]
    assert labels[0] == "bare-make"
    made = frame()
    rows = made[(made["runner"] == "tmp") & (made["build"] == "incremental")]
    widths = [
        bar.get_width()
        for bar in axes.patches
        if round(bar.get_y() + bar.get_height() / 2) == labels.index("tmp")
    ]
    expected = [statistics.median(rows[f"phase_{kind}"]) for kind in ("save", "start", "run")]
    assert sorted(width for width in widths if width) == pytest.approx(sorted(expected))


def test_a_bar_that_dwarfs_the_others_is_cut_and_says_so() -> None:
    """It keeps its figure; bars of like length stay whole, and a short floor cuts nothing."""
    alike = {"bare-make": 0.1, "tmp": 1.2, "katas-volume": 0.8, "katas-overlay": 0.5}
    [axes] = plots.phases(frame(runners=alike)).axes
    assert not [words for words in axes.texts if "cut" in words.get_text()]
    made = frame(runners={**alike, "tmp": 9.0})
    [axes] = plots.phases(made).axes
    [cut] = [words for words in axes.texts if "cut" in words.get_text()]
    medians = made[made["build"] == "incremental"].groupby("runner")["seconds"].median()
    assert cut.get_text() == f" {seconds(medians['tmp'])} (cut)"
    assert medians["katas-volume"] < axes.get_xlim()[1] < 3 * medians["katas-volume"]


def test_every_block_has_a_point_of_its_ratio() -> None:
    """The time over that of bare make in the same block, with the interval of the table."""
    figure = plots.ratios(frame())
    [axes] = figure.axes
    made = frame()
    made = made[made["build"] == "incremental"].set_index(["runner", "block"])["seconds"]
    expected = {
        runner: made[runner] / made["bare-make"] for runner in RUNNERS if runner != "bare-make"
    }
    drawn = {
        to_hex(points.get_facecolor()[0]): sorted(float(x) for x, _ in points.get_offsets())
        for points in axes.collections
    }
    for runner, ratios in expected.items():
        assert drawn[palette.colour(runner)] == pytest.approx(sorted(ratios))
    with pytest.raises(UsageError, match="no bare-make beside a runner"):
        plots.ratios(frame().query("runner != 'bare-make'"))


def made_for(kind: str) -> pd.DataFrame:
    """A frame that this kind of picture can be drawn from."""
    if kind == "scaling":
        return sizes(dict.fromkeys(RUNNERS, 0.5))
    return loads() if kind == "load" else frame()


@pytest.mark.parametrize("kind", plots.PLOTS)
def test_a_picture_says_what_it_shows(kind: str) -> None:
    """It has a title, units on its axes, and words for those who cannot see it that name every
    runner.
    """
    made = made_for(kind)
    figure = plots.PLOTS[kind](made)
    assert figure.axes[0].get_title(loc="left")
    labels = " ".join(axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes)
    assert ("ratio to bare make" if kind == "ratios" else "seconds") in labels
    for runner in made["runner"].unique():
        assert runner in plots.alt_text(figure)


@pytest.mark.parametrize("kind", plots.PLOTS)
def test_the_same_frame_gives_the_same_picture(kind: str, tmp_path: Path) -> None:
    """No chance and no date in it, so that pictures can be compared and kept in git."""
    for name in ("one.png", "other.png"):
        plots.PLOTS[kind](made_for(kind)).savefig(tmp_path / name, metadata={"Software": None})
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


def test_a_kind_of_build_that_was_not_measured_is_refused() -> None:
    """With what there is."""
    with pytest.raises(
        UsageError,
        match="these results have no completed no-op build; they have: full, incremental",
    ):
        plots.distribution(frame(), build="no-op")


def test_the_exponents_are_those_of_the_cost() -> None:
    """What grows in proportion has 1, what does not grow 0, as the legend and the words say."""
    words = plots.alt_text(plots.scaling(sizes({"tmp": 1.0, "katas-overlay": 0.0})))
    exponents = dict(re.findall(r"(tmp|katas-overlay): exponent (-?\d+\.\d+)", words))
    assert float(exponents["tmp"]) == pytest.approx(1.0, abs=0.1)
    assert float(exponents["katas-overlay"]) == pytest.approx(0.0, abs=0.1)


def test_an_exponent_of_almost_nothing_is_0() -> None:
    """Not -0.00, which says that there is a sign to read."""
    words = plots.alt_text(plots.scaling(sizes({"tmp": -0.0001, "katas-overlay": 0.0})))
    assert "exponent" in words
    assert "-0.00" not in words


def test_a_tree_may_grow_by_its_files_too() -> None:
    """On an axis of their number; trees that are about as large do not grow by their bytes."""
    made = sizes({"tmp": 0.5})
    made = made.assign(tree_files=made["tree_bytes"] // 16_000, tree_bytes=32_000_000)
    assert (plots.grows(made, "tree_files"), plots.grows(made)) == (True, False)
    words = plots.alt_text(plots.scaling(made, of="tree_files"))
    assert "against the files of the tree. tmp: exponent 0." in words


def test_any_two_sizes_can_be_drawn() -> None:
    """The report draws them only where one is twice the other; who asks for the picture gets it."""
    made = sizes({"tmp": 0.5})
    made = made.assign(tree_bytes=made["tree_bytes"].rank(method="dense") * 1000 + 10_000)
    assert not plots.grows(made)
    assert "exponent" in plots.alt_text(plots.scaling(made))


def test_throughput_says_which_machine_it_was() -> None:
    """In the picture and in its words; each of several; nothing that an older file lacks."""
    figure = plots.load(loads())
    said = "typical on docker 26, overlay2; machine 5f3512ce, 2 x a fast one"
    assert figure.axes[0].get_title(loc="left") == said
    assert said in plots.alt_text(figure)
    older = loads().assign(processor="", processors=None, machine="old")
    said = "typical on docker 26, overlay2; machine old"
    assert plots.load(older).axes[0].get_title(loc="left") == said
    both = plots.load(pd.concat([loads(), older], ignore_index=True)).axes[0].get_title(loc="left")
    assert both.splitlines()[1] == said
    long = loads().assign(processor="a very long name " * 20)
    lines = plots.load(long).axes[0].get_title(loc="left").splitlines()
    assert max(map(len, lines)) <= canvas.LINE


def test_throughput_counts_what_was_done_in_the_time_it_took() -> None:
    """Ten presses of a second each, one after the other: one a second for each avatar at once."""
    table = plots.throughput(loads()).set_index("avatars")
    assert dict(table["throughput"]) == pytest.approx({1: 1.0, 2: 2.0, 4: 4.0})
    assert set(table["tail"]) == {1.0}


@pytest.mark.parametrize(
    ("kind", "command"), [("scaling", "harness scale"), ("load", "harness load")]
)
def test_one_size_makes_no_curve(kind: str, command: str) -> None:
    """With what to do next."""
    with pytest.raises(UsageError, match=command):
        plots.PLOTS[kind](frame())
