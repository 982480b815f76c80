"""Records, plays and draws gates, and writes the report: python -m scenarios.gate_accuracy."""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

from harness.measure import looks
from scenarios.gate_accuracy import real, recording, report

RESULTS = Path(__file__).parents[2] / "results" / "gate-accuracy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--gates", type=int, default=400, help="drawn from each recording (default %(default)s)"
    )
    parser.add_argument(
        "--record", type=float, metavar="SECONDS", help="make new recordings of this length"
    )
    parser.add_argument(
        "--real",
        type=int,
        default=0,
        metavar="N",
        help="play real gates until there are N of each kind",
    )
    parser.add_argument(
        "--real-seconds", type=float, default=600, help="the longest that a real gate may take"
    )
    parser.add_argument(
        "--until",
        type=float,
        default=float("inf"),
        metavar="SECONDS",
        help="begin no real gate later than this",
    )
    options = parser.parse_args()
    started = time.monotonic()
    recordings = RESULTS / "recordings"
    recordings.mkdir(parents=True, exist_ok=True)
    if options.record:
        for noise in recording.NOISES:
            print(f"recording, {noise}: {options.record:g} s", flush=True)
            recording.record(noise, recordings / f"{noise}.csv", seconds=options.record)
    played = RESULTS / "real.csv"
    while _count(played) < options.real and time.monotonic() - started < options.until:
        real.play(played, seconds=options.real_seconds)
        print(f"{_count(played)} real gates of each kind", flush=True)
    report.write(RESULTS, options.gates)


def _count(path: Path) -> int:
    """Count the real gates of each kind that were played by these looks."""
    if not path.exists():
        return 0
    with path.open(newline="") as file:
        return sum(
            (row["kind"], row["looks"]) == ("equal", str(len(looks.LOOKS)))
            for row in csv.DictReader(file)
        )


main()
