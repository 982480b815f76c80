"""Draw the picture of the README and of the front page, light and dark: `make picture`."""

from __future__ import annotations

from pathlib import Path

import harness
from harness.report.analysis import plots
from harness.report.analysis.svg import inline

HERE = Path(__file__).parent
RECORDING = HERE.parent / "results" / "recordings" / "typical-docker.jsonl"
ARMS = [
    "bare-make",
    "tmp",
    "katas-volume",
    "katas-data-container",
    "katas-data-container:standby=seeded",
    "katas-overlay",
]
"""Those of the README's table."""

PAGES = {
    "light": "color: #1f2328; fill: #1f2328",
    "dark": "color: #e6edf3; fill: #e6edf3; --c-4d4d4d: #e0e0e0; --c-0072b2: #4aa8e0; "
    "--c-009e73: #35c79c; --c-d55e00: #ff8a3d; --c-cc79a7: #e39ac2",
}
"""How each kind of page colours text and runners; the ground is the page's own."""


def main() -> None:
    """Write docs/incremental-light.svg and docs/incremental-dark.svg."""
    frame = harness.load_results(RECORDING)
    figure = plots.distribution(frame[frame["runner"].isin(ARMS)])
    figure.set_size_inches(6.2, 3.7)
    (axes,) = figure.axes
    axes.set_yticks(
        axes.get_yticks(), [each.get_text().replace(":", ",\n") for each in axes.get_yticklabels()]
    )
    axes.set_title("After one edit: time until the result is stored", loc="left")
    axes.set_xlabel("twelve samples each; a bar marks the median (logarithmic)")
    drawn = inline(figure, "incremental")
    for page, style in PAGES.items():
        text = drawn.replace("<svg ", f'<svg style="{style}" ', 1)
        (HERE / f"incremental-{page}.svg").write_text(text + "\n")


if __name__ == "__main__":
    main()
