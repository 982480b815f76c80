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
# # Incremental builds, then and now
#
# In 2016 the author of the notes timed a typical exercise by hand: *"Incremental build is less than one second (23-42 ms).
# Full build is about 3-4 seconds (1904-2568-2873 ms). This looks promising."* Those are the times of make itself. Nobody knew
# how long a player would wait, with a container to start and two tar-pipes to cross. This notebook puts the times that
# were measured here beside those of the notes, on a tree of the same size: 1.6 MB with its products, 24 modules.

# %% tags=["hide-input"]
# %matplotlib inline
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

import harness
from harness.measure.units import seconds
from harness.report.analysis import palette

NOTES = {"incremental": (0.023, 0.042), "full": (1.904, 2.873)}  # seconds, least and most
frame = harness.load_results("../results/recordings/typical-docker.jsonl")
done = frame[frame["outcome"] == "completed"]
builds = done[done["build"].isin(NOTES)]
runners = {each for each in builds["runner"] if "#" not in each}  # not the same one a second time
labels = [
    *(each for each in palette.RUNNER_COLOURS if each in runners),
    *sorted(runners - set(palette.RUNNER_COLOURS)),
]
drawn = palette.styles(labels)

# %% [markdown]
# ## Every build, beside the notes
#
# The grey bands are the notes' ranges. Each point is one build; crosses are full builds, dots incremental ones.

# %% tags=["hide-input"]
figure = Figure(figsize=(9, 4.5), layout="constrained")
axes = figure.subplots()
for least, most in NOTES.values():
    axes.axvspan(least, most, color="#bbbbbb", alpha=0.6, linewidth=0)
for row, label in enumerate(labels):
    for build, marker in (("incremental", "o"), ("full", "x")):
        values = builds.loc[(builds["runner"] == label) & (builds["build"] == build), "seconds"]
        axes.scatter(
            values, [row] * len(values), marker=marker, color=drawn[label].colour, alpha=0.8
        )
axes.set_yticks(range(len(labels)), labels)
axes.invert_yaxis()
axes.set_xscale("log")
axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: seconds(value)))
axes.xaxis.set_minor_formatter(NullFormatter())
axes.set_xlabel("seconds a build (logarithmic)")
axes.set_title("Builds of a tree of 1.6 MB; grey: the notes' figures of 2016", loc="left")
figure

# %% [markdown]
# ## How much an incremental build saves
#
# By the notes' figures a full build takes 45 to 125 times as long as an incremental one. That is what `make` saves. A runner
# adds the same cost to both, so it saves less. A runner without incremental builds saves nothing.

# %% tags=["hide-input"]
medians = builds.groupby(["runner", "build"])["seconds"].median().unstack().reindex(labels)
counts = (
    builds[builds["build"] == "incremental"]
    .groupby("runner")["recompiled"]
    .median()
    .reindex(labels)
)
table = pd.DataFrame(
    {
        "full": medians["full"].map(seconds),
        "incremental": medians["incremental"].map(seconds),
        "full : incremental": (medians["full"] / medians["incremental"]).map("{:.1f}".format),
        "files recompiled after an edit": counts.astype(int),
    }
)
table

# %% tags=["hide-input"]
floor = medians.loc["bare-make"]
incremental = {
    label: medians.loc[label, "incremental"]
    for label in labels
    if counts[label] == 1 and label != "bare-make"
}
fastest = min(incremental, key=lambda label: incremental[label])
changed = int(done[done["runner"].isin(incremental)]["mtimes_changed"].sum())
kept = int(done[done["runner"].isin(incremental)]["mtimes_kept"].sum())
waited = min(incremental.values())
Markdown(
    f"Bare make takes {seconds(floor['incremental'])} for an incremental build and {seconds(floor['full'])} for a full "
    f"one, {floor['full'] / floor['incremental']:.0f} to 1, where the notes had 45 to 125. The incremental runners keep "
    f"the stamps: of {kept + changed:,} that travelled {changed} changed, and one edit recompiled one file. A player "
    f"waits {seconds(waited)} with the fastest of them, {fastest}: {'less' if waited < 1 else 'more'} than one second, "
    "which was the hope."
)
