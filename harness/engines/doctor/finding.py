"""The values that a diagnosis is made of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

FindingState: TypeAlias = Literal["good", "fair", "missing"]
"""Good: nothing to do. Fair: it works, and something is lost. Missing: it is not there or does not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: FindingState
    what: str  # what was found
    follows: str = ""  # what that means for a run or a measurement
    advice: str = ""  # what to install or do for more; empty when there is nothing to do


@dataclass(frozen=True)
class FindingGroup:
    """Findings that belong together."""

    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Fitness:
    """What one engine is good for."""

    problem: str = ""  # why it does not work; empty when it does
    lacks: tuple[str, ...] = ()  # without which it cannot build C
    refuses: str = (
        ""  # why it mounts no folder, so that not every runner can play there; empty when it does
    )
    answers: bool = False  # so that it is taken by itself, whether it works or not


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found."""

    groups: tuple[FindingGroup, ...]
    engines: Mapping[str, Fitness]

    @property
    def working(self) -> tuple[str, ...]:
        """The engines that work, the one that `--engine auto` takes first."""
        return tuple(name for name, fitness in self.engines.items() if not fitness.problem)

    @property
    def taken(self) -> str:
        """The one that `--engine auto` takes; empty where there is none."""
        return next(
            (name for name, each in self.engines.items() if each.answers or not each.problem), ""
        )

    @property
    def ready(self) -> bool:
        """Whether `harness compare` can do its main job here, as it is without options."""
        taken = self.engines.get(self.taken)
        return taken is not None and not (taken.problem or taken.lacks or taken.refuses)

    def verdict(self) -> str:
        """One line: whether a run is possible here and on which engine, or why not and what to do."""
        if not self.working:
            reasons = "; ".join(
                f"{name}: {fitness.problem}" for name, fitness in self.engines.items()
            )
            return f"no engine works on this machine: {reasons}"
        first, *others = self.working
        if first != self.taken:
            return (
                f"Not ready: `harness compare` takes the {self.taken} engine: {self.engines[self.taken].problem}; "
                f"--engine {first} works."
            )
        if lacks := self.engines[first].lacks:
            return f"Not ready: {builds_nothing(first, lacks)}."
        if refuses := self.engines[first].refuses:
            return (
                f"Not ready: katas-volume, which `harness compare` takes too, cannot play on the {first} engine: {refuses}; "
                "`harness compare --runner tmp --runner katas-data-container` works."
            )
        also = f"; --engine {others[0]} works too" if others else ""
        return f"Ready: `harness compare` takes the {first} engine{also}."


def builds_nothing(engine: str, lacks: Sequence[str]) -> str:
    """What is said of an engine that works, and what to do."""
    cure = (
        toolchain()
        if engine == "local"
        else "harness image build, or give --image NAME of one that has it"
    )
    return f"the {engine} engine works, and builds no C until it finds {', '.join(lacks)}: {cure}"


def softly(subject: str, probe: Callable[[], Finding]) -> Finding:
    """What the probe finds; whatever goes wrong in it is a finding too, and the others are still made."""
    try:
        return probe()
    except Exception as error:
        return Finding(subject, "missing", f"could not be examined: {explain(error)}")


def explain(error: BaseException) -> str:
    """What an error says, or what it is where it says nothing."""
    return str(error) or type(error).__name__


_INSTALLERS = {
    "apt-get": "apt-get install",
    "dnf": "dnf install",
    "zypper": "zypper install",
    "pacman": "pacman -S",
    "apk": "apk add",
}


def install_command(*packages: str) -> str:
    """The command by which this machine's packages are installed, for the user to type."""
    names = " ".join(packages)
    for program, command in _INSTALLERS.items():
        if shutil.which(program):
            return as_root(f"{command} {names}")
    return f"install {names}"


def toolchain() -> str:
    """The command that installs what C is built with."""
    return (
        install_command("gcc", "libc6-dev", "make")
        if shutil.which("apt-get")
        else install_command("gcc", "make")
    )


def as_root(command: str) -> str:
    """The command as this user types it."""
    return command if os.geteuid() == 0 else f"sudo {command}"
