# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---


# %% [markdown]
# # Why the gate interleaves
#
# The same runner was recorded twice, block by block, on a shared machine with two cores: with nothing added, with one core
# kept busy, and with the disk kept busy. The two arms are certainly equal, so any difference between them is noise. This
# notebook asks each way of comparing two versions how often it would have called these two different.

# %% tags=["hide-input"]
# %matplotlib inline
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy import stats as scipy_stats

from harness.measure import stats
from harness.measure.trials import FLOOR
from harness.measure.units import seconds

FOLDER = Path("../results/gate-accuracy/recordings")
recordings = {path.stem: pd.read_csv(path, skiprows=1) for path in sorted(FOLDER.glob("*.csv"))}
arms = {
    name: frame.pivot(index="block", columns="runner", values="seconds")
    .drop(columns=FLOOR)
    .dropna()
    .to_numpy()
    for name, frame in recordings.items()
}

# %% [markdown]
# ## What noise looks like
#
# One point a block, for each of the two equal arms. Noise comes in stretches: the machine is slow for a while, then fast
# again. If you measure one version after the other, you measure two different stretches.

# %% tags=["hide-input"]
figure = Figure(figsize=(9, 6), layout="constrained")
panels = figure.subplots(len(arms), 1, sharex=False)
for axes, (name, pairs) in zip(panels, arms.items(), strict=True):
    for column, (colour, marker) in enumerate((("#0072b2", "o"), ("#d55e00", "x"))):
        axes.scatter(
            range(len(pairs)), pairs[:, column], s=14, color=colour, marker=marker, linewidths=0.8
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: seconds(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(
        f"{name}: medians {seconds(np.median(pairs[:, 0]))} and {seconds(np.median(pairs[:, 1]))}",
        loc="left",
    )
panels[-1].set_xlabel("block, in order of time; the same runner as dot and as cross")
figure

# %% [markdown]
# ## How often equal arms are called different
#
# Each rule is asked 400 times, from each recording. *One after the other* takes 20 measurements of one arm and then, from the
# 20 blocks after these, 20 of the other, as most benchmark scripts do. *In blocks* takes both arms from the same 20 blocks,
# and tosses a coin in each block for which of them is called the new one, as the shuffled order does.

# %% tags=["hide-input"]
ASKED, ROUNDS = 400, 20
random = np.random.default_rng(1)


def one_after_the_other(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start = random.integers(len(pairs) - 2 * ROUNDS + 1)
    return pairs[start : start + ROUNDS, 0], pairs[start + ROUNDS : start + 2 * ROUNDS, 1]


def in_blocks(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start = random.integers(len(pairs) - ROUNDS + 1)
    part = pairs[start : start + ROUNDS]
    swap = random.random(ROUNDS) < 0.5
    return np.where(swap, part[:, 1], part[:, 0]), np.where(swap, part[:, 0], part[:, 1])


def beyond(interval: stats.Interval, tolerance: float) -> bool:
    return interval.low > 1 + tolerance or interval.high < 1 / (1 + tolerance)


rules = {
    "means differ by 10 %": lambda one, other: abs(np.log(one.mean() / other.mean())) > np.log(1.1),
    "t-test, p < 0.05": lambda one, other: scipy_stats.ttest_ind(one, other).pvalue < 0.05,
    "interval of the paired ratio beyond 5 %": lambda one, other: beyond(
        stats.paired(one, other, 0.99), 0.05
    ),
}
rows = []
for name, pairs in arms.items():
    for way in (one_after_the_other, in_blocks):
        drawn = [way(pairs) for _ in range(ASKED)]
        rows += [
            {
                "recording": name,
                "measured": way.__name__.replace("_", " "),
                "rule": rule,
                "false alarms": np.mean([bool(alarm(one, other)) for one, other in drawn]),
            }
            for rule, alarm in rules.items()
        ]
alarms = pd.DataFrame(rows)
alarms.pivot(index=["rule", "measured"], columns="recording", values="false alarms").style.format(
    "{:.1%}"
)

# %% tags=["hide-input"]
by_rule = alarms.groupby(["rule", "measured"])["false alarms"].max()
worst = by_rule.xs("one after the other", level="measured")
gate = by_rule["interval of the paired ratio beyond 5 %", "in blocks"]
Markdown(
    f"Measured one after the other, two equal arms are called different in up to {worst.max():.0%} of the cases, "
    f"depending on the rule and the noise. In blocks, judged by an interval that must lie wholly beyond the "
    f"tolerance, it was at most {gate:.1%}. That is why a gate here measures both versions side by side, in the same shuffled "
    "blocks, and why it may also answer *inconclusive*: a rule that always answers has to be wrong sometimes."
)
