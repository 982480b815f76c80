"""Examine the kernel, the processors and Python."""

from __future__ import annotations

import os
import platform
import sys

from harness.engines.doctor.finding import Finding, softly


def examine() -> tuple[Finding, ...]:
    """Return what times depend on with any engine."""
    return (
        softly("kernel", _kernel),
        softly(
            "processors",
            lambda: processors_finding(len(os.sched_getaffinity(0)), os.getloadavg()[0]),
        ),
        Finding("Python", "good", f"{platform.python_version()} at {sys.executable}"),
    )


def processors_finding(count: int, load: float) -> Finding:
    """Say how many processors there are, and whether other programs use them."""
    what = f"{count}, load {load:.1f} in the last minute"
    if load > count / 2:
        return Finding(
            "processors",
            "fair",
            what,
            "Other programs are running, so single times mislead. `harness compare` copes: it "
            "compares within shuffled blocks; a larger --seconds gives it more of them.",
        )
    return Finding("processors", "good", what)


def _kernel() -> Finding:
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        system = platform.system()
    return Finding("kernel", "good", f"{platform.system()} {platform.release()} ({system})")
