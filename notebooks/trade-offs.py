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
# # Which runner should I choose?
#
# Say how large your trees are, how often each avatar edits, how many avatars play at once, and how long a player is willing
# to wait. The answer comes only from recorded figures and proofs. Change the parameters and run the notebook again.

# %% tags=["hide-input"]
# %matplotlib inline
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

import harness
from harness.measure.trials import FLOOR
from harness.measure.units import seconds
from harness.report.analysis import palette
from harness.report.analysis.findings import load_findings
from harness.report.analysis.plots import throughput
from harness.report.analysis.tradeoffs import PROVEN, trade_offs

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
TREE_MB = 1.6  # the built tree, products included
EDITS_AN_HOUR = 120  # of each avatar: a player's 30, a coding agent's 600
AVATARS = 200  # at once
LIMIT_SECONDS = 0.5  # that a player is willing to wait for an incremental build

# %% tags=["hide-input"]
RECORDINGS = "../results/recordings"
typical = harness.load_results(f"{RECORDINGS}/typical-docker.jsonl")
scale = harness.load_results(f"{RECORDINGS}/scale-docker.jsonl")
findings = load_findings(f"{RECORDINGS}/verify-docker.json")
Markdown(
    f"Trees of **{TREE_MB:g} MB**, **{EDITS_AN_HOUR:,} edits an hour** by each of **{AVATARS:,} avatars**, and at most "
    f"**{LIMIT_SECONDS:g} s** to wait. Recorded on {typical['engine'].iloc[0]}, {typical['storage_driver'].iloc[0]}."
)

# %% [markdown]
# ## What each runner keeps, and what it costs
#
# A proof is a search for counterexamples; *not tried* means that nobody searched. Times are for the typical tree of 1.6
# MB.

# %% tags=["hide-input"]
table = trade_offs(typical, findings).drop(columns="engine").set_index("runner")
table[list(PROVEN)].style.map(
    lambda value: {
        "proved": "color: var(--proved, #00614a); font-weight: bold",
        "refuted": "color: var(--refuted, #a03000)",
    }.get(value, "")
)

# %% tags=["hide-input"]
costs = table.drop(columns=list(PROVEN)).dropna(axis="columns", how="all")
costs.style.format(
    {
        **dict.fromkeys(("median", "tail", "answered"), seconds),
        **dict.fromkeys(("ratio", "ratio low", "ratio high", "answered ratio"), "{:.2f}"),
        **dict.fromkeys(("bytes", "disk growth"), "{:,.0f}"),
    },
    na_rep="-",
)

# %% [markdown]
# ## At your size of tree
#
# Lines join the medians of the sizes that were measured. The dashed line is your tree, the dotted line is your limit.

# %% tags=["hide-input"]
incremental = scale[(scale["scenario"] == "incremental") & (scale["outcome"] == "completed")]
sizes = incremental.groupby("tree")["tree_bytes"].median()
medians = incremental.groupby(["runner", incremental["tree"].map(sizes)])["seconds"].median()
styles = palette.styles(medians.index.unique("runner"))
figure = Figure(figsize=(9, 4.5), layout="constrained")
axes = figure.subplots()
expected = {}
for runner, style in styles.items():
    line = medians[runner].sort_index()
    axes.plot(line.index / 1e6, line, color=style.colour, marker=style.marker, label=runner)
    at = np.interp(
        np.log(TREE_MB * 1e6), np.log(line.index.to_numpy(float)), np.log(line.to_numpy(float))
    )
    expected[runner] = float(np.exp(at))
axes.axvline(TREE_MB, color="#4d4d4d", linestyle="--", linewidth=1)
axes.axhline(LIMIT_SECONDS, color="#4d4d4d", linestyle=":", linewidth=1)
axes.set_xscale("log")
axes.set_yscale("log")
axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: seconds(value)))
for axis in (axes.xaxis, axes.yaxis):
    axis.set_minor_formatter(NullFormatter())
axes.set_xlabel("megabytes in the sandbox (logarithmic)")
axes.set_ylabel("an incremental build (logarithmic)")
axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
figure

# %% [markdown]
# ## How many processors you need
#
# The engine itself needs most of the processor time, and only a full machine shows how much. The table says how many test
# events a second two processors reached with many avatars at once. If a processor is busy more than about two thirds of the
# time, people wait for one another. You can shorten the time of the command itself.

# %% tags=["hide-input"]
PROCESSORS = 2  # of the machine that was full
crowds = harness.load_results("../results/recordings/load-docker.jsonl")
ended = crowds[(crowds["scenario"] == "incremental") & (crowds["outcome"] == "completed")]
reached = throughput(ended).groupby("runner")["throughput"].max().drop(FLOOR)
done = typical[(typical["scenario"] == "incremental") & (typical["outcome"] == "completed")]
used = done.groupby("runner")["processor_seconds"].median().reindex(reached.index)
rate = AVATARS * EDITS_AN_HOUR / 3600
pd.DataFrame(
    {
        "processor time of the command": used.map(seconds),
        f"test events a second, {PROCESSORS} processors": reached.map("{:.1f}".format),
        f"processors needed for {rate:.1f} a second": np.ceil(
            rate / (reached / PROCESSORS) / (2 / 3)
        ).astype(int),
    }
)

# %% [markdown]
# ## The answer

# %% tags=["hide-input"]
proven = table.index[(table[list(PROVEN)] == "proved").all(axis=1)]
ready = {runner: cost for runner, cost in expected.items() if runner in proven}
fast = {runner: cost for runner, cost in ready.items() if cost <= LIMIT_SECONDS}
if fast:
    best = min(fast, key=lambda runner: fast[runner])
    others = [runner for runner in fast if runner != best]
    answer = (
        f"**{best}**: about {seconds(fast[best])} for an incremental build of {TREE_MB:g} MB, and all of "
        f"{', '.join(PROVEN)} was proved of it."
        + (f" {', '.join(others)} would keep to your limit as well." if others else "")
    )
elif ready:
    best = min(ready, key=lambda runner: ready[runner])
    answer = (
        f"**No runner keeps to {LIMIT_SECONDS:g} s.** The fastest runner with all proofs is {best}, with about "
        f"{seconds(ready[best])}; bare make itself takes about {seconds(expected[FLOOR])}."
    )
else:
    answer = "**No runner has all proofs** on the engine of this recording."
Markdown(answer)
