"""Baselines with names: results that are kept in a folder to compare later ones with."""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.inside import atomic_file
from harness.inside.errors import UsageError, not_among
from harness.measure.results import read_result
from harness.measure.units import ago

BASELINES = Path("results") / "baselines"
"""The folder with the baselines, below the current folder, where results are written too."""

SUFFIX = ".jsonl"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def baseline_path(name: str) -> Path:
    """Return the file of the baseline with this name, whether or not it exists.

    Raises UsageError for what cannot be a name: it must not lead out of the folder, and must not
    look like the path of a result.
    """
    if not _NAME.fullmatch(name) or name.endswith(SUFFIX):
        raise UsageError(
            f"{name!r} is not a name for a baseline; take up to 64 letters, digits, dots, hyphens "
            f"and underscores, the first one a letter or digit, without {SUFFIX} at the end"
        )
    return BASELINES / f"{name}{SUFFIX}"


def find_baseline(text: str) -> Path:
    """Return the result that `text` means: the name of a baseline, or the path of a result file.

    Raises UsageError for a name that no baseline has, and for one that could be either.
    """
    path = Path(text)
    if "/" in text or path.suffix == SUFFIX:
        return path
    saved = baseline_path(text)
    if saved.exists() and path.exists():
        raise UsageError(f"{text} may mean ./{text} or {saved}; write one of these")
    if saved.exists() or path.exists():
        return saved if saved.exists() else path
    names = sorted(each.stem for each in BASELINES.glob(f"*{SUFFIX}"))
    if names:
        raise not_among("baseline", text, names)
    raise UsageError(
        f"there is no baseline {text}, and none at all in {BASELINES}; save one with "
        f"harness compare --save {text}, or give the path of a result file"
    )


def check_baseline_name(name: str) -> None:
    """Raise UsageError, before anything is measured, if no baseline can be saved by this name."""
    path = baseline_path(name)
    try:
        BASELINES.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{BASELINES} cannot be made: {error.strerror}") from error
    if path.is_dir() or not os.access(BASELINES, os.W_OK):
        raise UsageError(f"{path} cannot be written, so there is nowhere to save baseline {name}")


def save_baseline(name: str, result: Path) -> str:
    """Keep a copy of the result as the baseline of this name; returns a line that says so.

    The line says as well whether it replaced another one, and how old that was. Raises UsageError
    for a bad name, and for a result that cannot be read or was cut short.
    """
    check_baseline_name(name)
    if not read_result(result).complete:
        raise UsageError(f"{result} was cut short, so it is not saved as baseline {name}")
    path = baseline_path(name)
    before = _age(path) if path.exists() else ""
    atomic_file.write(str(path), result.read_bytes())
    if before:
        return f"baseline {name} replaced: {path}; the one before {before}"
    return f"saved as baseline {name}: {path}"


def _age(path: Path) -> str:
    try:
        created = str(read_result(path).facts["created"])
        return f"was measured {ago(created)}"
    except (UsageError, KeyError, ValueError):
        return "was no result that can be read"
