"""Pictures: each function turns a frame of results into a matplotlib figure, labelled with units.

    import harness
    from harness.report.analysis import plots

    figure = plots.distribution(harness.load_results("results/recordings/typical-docker.jsonl"))
    figure.savefig("distribution.svg")

Figures are made without pyplot, so that drawing one changes nothing global. Jupyter shows them
after `%matplotlib inline`. `alt_text(figure)` says in words what a figure shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from harness.report.analysis.captions import said
from harness.report.analysis.plots.crowd import load, throughput
from harness.report.analysis.plots.phases import phases
from harness.report.analysis.plots.samples import distribution, ratios
from harness.report.analysis.plots.scaling import AXES, grows, scaling


def alt_text(figure: Figure) -> str:
    """Say in words what a figure of these shows."""
    return " ".join(said(figure))


PLOTS: dict[str, Callable[..., Figure]] = {
    "phases": phases,
    "distribution": distribution,
    "ratios": ratios,
    "scaling": scaling,
    "load": load,
}
"""The pictures by the name that `harness plot --kind` takes."""

__all__: Sequence[str] = (
    "AXES",
    "PLOTS",
    "alt_text",
    "distribution",
    "grows",
    "load",
    "phases",
    "ratios",
    "scaling",
    "throughput",
)
