"""Find the fixtures: beside the package in a checkout, inside it once installed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def fixture(name: str) -> Path:
    """Return the path of a fixture, such as `trees` or `images/rootfs.sh`."""
    package = Path(str(resources.files("harness")))
    for folder in (package.parent / "fixtures", package / "_fixtures"):
        if (folder / "trees").is_dir():
            return folder / name
    raise FileNotFoundError("the package was installed without its fixtures")
