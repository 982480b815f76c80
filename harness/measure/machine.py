"""Facts that figures depend on: the machine, its engine and its programs."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.engines import Engine


def describe_machine(engine: Engine, image: str | None) -> dict[str, Any]:
    """Return the facts for a result file.

    They are id, host (a hash of its name), cpu, processors, memory (bytes), kernel, load (averages
    of 1, 5 and 15 minutes), tar, engine and image. Raises ImageError.
    """
    facts = dict(engine.describe())
    return {
        "id": _identity(platform.node(), facts),
        "host": _hash(platform.node()),
        "cpu": _processor(),
        "processors": os.cpu_count(),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kernel": platform.release(),
        "load": [round(average, 2) for average in os.getloadavg()],
        "tar": subprocess.run(
            ["tar", "--version"], capture_output=True, text=True, check=True
        ).stdout.partition("\n")[0],
        "engine": facts,
        "image": engine.check_image(image),
    }


def _identity(host: str, engine: Mapping[str, str]) -> str:
    """Return eight hexadecimal digits that identify a machine.

    The same host with another engine or storage driver is another machine, since no figure of the
    one says anything about the other.
    """
    return _hash(f"{host}\0{engine['engine']}\0{engine['storage driver']}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _processor() -> str:
    """Return the processor model as Linux names it (proc(5), cpuinfo), else the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [
        line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))
    ]
    return names[0] if names else platform.machine()
