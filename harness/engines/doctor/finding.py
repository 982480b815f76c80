"""The values that a diagnosis consists of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

FindingState: TypeAlias = Literal["good", "fair", "missing"]
"""Good: nothing to do. Fair: it works, but something is lost. Missing: it is absent or does not
work.
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was examined."""

    subject: str
    """The thing, in a word or two."""

    state: FindingState
    """How good it is."""

    what: str
    """What was found."""

    follows: str = ""
    """What that means for a run or a measurement. Empty: nothing."""

    advice: str = ""
    """What to install or do. Empty: nothing."""


@dataclass(frozen=True)
class FindingGroup:
    """Findings that belong together."""

    title: str
    """The heading."""

    findings: tuple[Finding, ...]
    """The findings, in the order to print."""


@dataclass(frozen=True)
class Fitness:
    """What one engine can be used for."""

    problem: str = ""
    """Why it does not work. Empty: it works."""

    lacks: tuple[str, ...] = ()
    """What it needs before it can build C. Empty: nothing."""

    makes_images: bool = False
    """As in Engine."""

    refuses: str = ""
    """Why it cannot mount a folder, which one of the compared runners needs. Empty: it can."""

    answers: bool = False
    """Whether it answers, so that `--engine auto` takes it even if it does not work."""


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found."""

    groups: tuple[FindingGroup, ...]
    """All findings, in the order to print."""

    engines: Mapping[str, Fitness]
    """Each engine by name, in the order that `--engine auto` prefers."""

    @property
    def working(self) -> tuple[str, ...]:
        """The engines that work, in the order that `--engine auto` prefers."""
        return tuple(name for name, fitness in self.engines.items() if not fitness.problem)

    @property
    def taken(self) -> str:
        """The engine that `--engine auto` takes. Empty: none."""
        return next(
            (
                name
                for name, fitness in self.engines.items()
                if fitness.answers or not fitness.problem
            ),
            "",
        )

    @property
    def ready(self) -> bool:
        """Whether `harness compare` works here without options."""
        taken = self.engines.get(self.taken)
        return taken is not None and not (taken.problem or taken.lacks or taken.refuses)

    def verdict(self) -> str:
        """Say in one line whether runs work here and on which engine, or why not and what to do."""
        if not self.working:
            reasons = "; ".join(
                f"{name}: {fitness.problem}" for name, fitness in self.engines.items()
            )
            return f"no engine works on this machine: {reasons}"
        first, *others = self.working
        if first != self.taken:
            return (
                f"Not ready: `harness compare` takes the {self.taken} engine: "
                f"{self.engines[self.taken].problem}; --engine {first} works."
            )
        fitness = self.engines[first]
        if lacks := fitness.lacks:
            said = builds_nothing(first, lacks, makes_images=fitness.makes_images)
            return f"Not ready: {said}."
        if refuses := fitness.refuses:
            return (
                "Not ready: katas-volume, which `harness compare` takes too, cannot play on the "
                f"{first} engine: {refuses}; "
                "`harness compare --runner tmp --runner katas-data-container` works."
            )
        also = f"; --engine {others[0]} works too" if others else ""
        return f"Ready: `harness compare` takes the {first} engine{also}."


def builds_nothing(engine: str, lacks: Sequence[str], *, makes_images: bool) -> str:
    """Say that an engine works but cannot build C, and what to do."""
    cure = (
        "harness image build, or give --image NAME of an image that has it"
        if makes_images
        else toolchain()
    )
    return f"the {engine} engine works, but cannot build C without {', '.join(lacks)}: {cure}"


def softly(subject: str, probe: Callable[[], Finding]) -> Finding:
    """Return what the probe finds. If it fails, that is a finding too."""
    try:
        return probe()
    except Exception as error:
        return Finding(subject, "missing", f"could not be examined: {explain(error)}")


def explain(error: BaseException) -> str:
    """Return an error's message, or its type if it has none."""
    return str(error) or type(error).__name__


_INSTALLERS = {
    "apt-get": "apt-get install",
    "dnf": "dnf install",
    "zypper": "zypper install",
    "pacman": "pacman -S",
    "apk": "apk add",
}


def install_command(*packages: str) -> str:
    """Return the command that installs packages on this machine, for the user to type."""
    names = " ".join(packages)
    for program, command in _INSTALLERS.items():
        if shutil.which(program):
            return as_root(f"{command} {names}")
    return f"install {names}"


def toolchain() -> str:
    """Return the command that installs what it takes to build C."""
    return (
        install_command("gcc", "libc6-dev", "make")
        if shutil.which("apt-get")
        else install_command("gcc", "make")
    )


def as_root(command: str) -> str:
    """Return the command as this user has to type it to run it as root."""
    return command if os.geteuid() == 0 else f"sudo {command}"
