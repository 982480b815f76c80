"""Frames of results as `harness.load_results` gives them, for tests of what is made from them."""

from __future__ import annotations

import random

import pandas as pd

from harness.runners.run import PHASES

RUNNERS = {"bare-make": 0.1, "tmp": 3.0, "katas-volume": 0.4, "katas-data-container": 0.5}
"""Seconds of an incremental build, about."""


def frame(
    *, blocks: int = 6, runners: dict[str, float] | None = None, seed: int = 1
) -> pd.DataFrame:
    """One full block, then incremental ones, with some noise."""
    noise = random.Random(seed)
    rows = []
    for block in range(blocks + 1):
        for place, (runner, usual) in enumerate((runners or RUNNERS).items()):
            build = "incremental" if block else "full"
            seconds = (usual if block else usual + 3.0) * noise.uniform(0.9, 1.2)
            phases = {f"phase_{kind}": float("nan") for kind in PHASES} | {
                "phase_run": 0.6 * seconds
            }
            if runner != "bare-make":
                phases |= {"phase_start": 0.3 * seconds, "phase_save": 0.1 * seconds}
            rows.append(
                {
                    "file": "a.jsonl",
                    "complete": True,
                    "runner": runner,
                    "engine": "docker 26",
                    "processor_seconds": 0.5 * seconds,
                    "avatars": 1,
                    "at": 10.0 * block + place,
                    "tree_bytes": 1_600_000,
                    "storage_driver": "overlay2",
                    "machine": "5f3512ce",
                    "processor": "a fast one",
                    "processors": 2,
                    "tree": "typical",
                    "build": build,
                    "block": block,
                    "place": place,
                    "outcome": "completed",
                    "status": 0,
                    "seconds": seconds,
                    "answered_seconds": seconds if runner == "bare-make" else 0.75 * seconds,
                    "disk_visible": 100,
                    "disk_extra": 20,
                    "disk_history": 3,
                    "recompiled": 1 if block else 24,
                    "mtimes_kept": 121,
                    "mtimes_changed": 0,
                    "bytes_in": 1_640_000,
                    "bytes_out": 1_640_000,
                    "reason": "",
                    **phases,
                }
            )
    made = pd.DataFrame(rows)
    return made.astype(
        dict.fromkeys(("status", "recompiled", "mtimes_kept", "mtimes_changed"), "Int64")
    )


def sizes(exponents: dict[str, float]) -> pd.DataFrame:
    """Trees of three sizes; the cost of each runner grows by its exponent."""
    made = []
    for number, size in enumerate((1_600_000, 16_000_000, 160_000_000)):
        costs = {runner: 0.1 * (size / 1_600_000) ** each for runner, each in exponents.items()}
        made.append(
            frame(runners=costs, seed=number).assign(tree=f"typical:size={size}", tree_bytes=size)
        )
    return pd.concat(made, ignore_index=True)


def loads(at_once: tuple[int, ...] = (1, 2, 4)) -> pd.DataFrame:
    """So many avatars at once, each pressing ten times, one after the other, a second each."""
    rows = [
        frame(blocks=1, runners={"tmp": 1.0})
        .iloc[[1]]
        .assign(avatars=count, block=count, at=100.0 * count + press, seconds=1.0)
        for count in at_once
        for press in range(10)
        for _ in range(count)
    ]
    return pd.concat(rows, ignore_index=True)


def matrix(engine: str = "docker 26") -> dict[str, object]:
    """What `harness verify --json` writes, as far as it is read: katas-volume is not atomic."""
    return {
        "schema": 1,
        "engines": {"docker": {"engine": engine}},
        "findings": [
            _finding(runner, name, refuted=(runner, name) == ("katas-volume", "atomic"))
            for runner in ("katas-volume", "katas-data-container")
            for name in ("incremental-equals-full", "atomic", "isolated", "ownership")
        ],
    }


def _finding(runner: str, name: str, *, refuted: bool) -> dict[str, object]:
    words = {
        "words": "killed in the middle of a build: half a product was left",
        "token": "kill.cnVu",
    }
    command = (
        f"harness verify --runner {runner} --engine docker --property {name} --replay kill.cnVu"
    )
    return {
        "property": name,
        "runner": runner,
        "engine": "docker",
        "claimed": not refuted,
        "status": "refuted" if refuted else "proved",
        "as_claimed": True,
        "examples": 1 if refuted else 20,
        "counterexample": words if refuted else None,
        "replay": command if refuted else None,
        "reason": None,
    }
