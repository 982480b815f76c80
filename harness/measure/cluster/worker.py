"""What a worker of a cluster does: everything here travels to it by name, and values travel both ways."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness import runners
from harness.engines import doctor
from harness.engines.choice import choose
from harness.engines.folders import scratch
from harness.inside.errors import HarnessError
from harness.katas.visible import VisibleFile, VisibleFiles
from harness.measure import machine
from harness.measure.compare import Comparison, compare
from harness.measure.trees import OwnTree, SourceTree, open_tree
from harness.measure.trials import BlockPlan, Sample


@dataclass(frozen=True)
class WorkerReport:
    """What a worker has."""

    # The facts of harness.measure.machine; None: it has no engine that works.
    machine: dict[str, Any] | None = None
    problem: str = ""  # why not
    harness: str = ""  # version
    verdict: str = ""  # the doctor's


def inspect_worker(engine: str = "auto", image: str | None = None) -> WorkerReport:
    """What this worker has, if it is asked for this engine."""
    installed = version("tarpipe-harness")
    try:
        with closing(choose(engine, image=image).engine) as opened:
            return WorkerReport(machine.describe_machine(opened, image), harness=installed)
    except HarnessError as error:
        return WorkerReport(problem=str(error), harness=installed)


def examine() -> WorkerReport:
    """The same, by the doctor: a few seconds."""
    return replace(inspect_worker(), verdict=doctor.examine().verdict())


@dataclass(frozen=True)
class Parcel:
    """A source tree on its way to another machine: by name, or with all its files."""

    name: str
    edit: str | None = None
    header: str | None = None
    files: tuple[tuple[bytes, bytes, int, int | None], ...] = ()  # name, content, mode and age

    @classmethod
    def of(cls, tree: SourceTree, edit: str | None, header: str | None) -> Parcel:
        """A tree of the user's own is only here, so it travels whole."""
        if not isinstance(tree, OwnTree):
            return cls(tree.name)
        files = tuple((name, each.read(), each.mode, each.age) for name, each in tree.files.items())
        return cls(tree.name, edit, header, files)

    def open(self, folder: Path) -> SourceTree:
        """The tree there; `folder` is empty, and needed for as long as the tree is."""
        if not self.files:
            return open_tree(self.name, report=lambda line: None)
        VisibleFiles(
            {name: VisibleFile(content, mode, age=age) for name, content, mode, age in self.files}
        ).write(folder)
        assert self.edit is not None
        tree = OwnTree(folder, self.edit, header=self.header)
        tree.name = self.name
        return tree


@dataclass(frozen=True)
class Stint:
    """A few blocks that one machine plays from nothing: a full build and some rounds."""

    tree: Parcel
    runners: tuple[str, ...]
    again: str | None
    engine: str
    image: str | None
    command: str
    max_seconds: float
    scenarios: tuple[str, ...]
    rounds: int
    seed: int


def play_stint(stint: Stint) -> list[Sample]:
    """The samples of a stint, all of them or none: a machine that dies has played nothing."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch("parcel"))
        engine = stack.enter_context(closing(choose(stint.engine, image=stint.image).engine))
        comparison = Comparison(
            stint.tree.open(folder),
            [runners.parse_variant(each) for each in stint.runners],
            engine,
            stint.image,
            stint.command,
            stint.max_seconds,
            BlockPlan(0, stint.rounds, stint.scenarios),
            stint.seed,
            stint.again,
        )
        return list(compare(comparison))
