"""What a worker of a cluster does: functions travel to it by name, values travel both ways."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness import runners
from harness.engines import doctor
from harness.engines.choice import choose
from harness.engines.extras import DISTRIBUTION
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

    machine: dict[str, Any] | None = None
    """The facts of harness.measure.machine; None if it has no working engine."""
    engine: str = ""
    """The name of its engine; empty if it has none that works."""
    problem: str = ""
    """Why there is no working engine."""
    harness: str = ""
    """The version of its harness."""
    verdict: str = ""
    """What the doctor says."""


def inspect_worker(engine: str = "auto", image: str | None = None) -> WorkerReport:
    """Report what this worker has for this engine."""
    installed = version(DISTRIBUTION)
    try:
        with closing(choose(engine, image=image).engine) as opened:
            return WorkerReport(
                machine.describe_machine(opened, image), opened.name, harness=installed
            )
    except HarnessError as error:
        return WorkerReport(problem=str(error), harness=installed)


def examine() -> WorkerReport:
    """Report with the doctor's verdict, which takes a few seconds."""
    return replace(inspect_worker(), verdict=doctor.examine().verdict())


@dataclass(frozen=True)
class Parcel:
    """A source tree on its way to another machine: by name, or with all its files."""

    name: str
    """The name of the tree."""
    edit: str | None = None
    """The file to edit in a user's own tree."""
    header: str | None = None
    """The header to edit in a user's own tree."""
    files: tuple[tuple[bytes, bytes, int, int | None], ...] = ()
    """Name, content, mode and age of each file of a user's own tree."""

    @classmethod
    def of(cls, tree: SourceTree, edit: str | None, header: str | None) -> Parcel:
        """Pack a tree; a user's own exists only here, so it travels whole."""
        if not isinstance(tree, OwnTree):
            return cls(tree.name)
        files = tuple((name, file.read(), file.mode, file.age) for name, file in tree.files.items())
        return cls(tree.name, edit, header, files)

    def open(self, folder: Path) -> SourceTree:
        """Open the tree there; it needs `folder`, which is empty, for as long as it is used."""
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
    """What is built."""
    runners: tuple[str, ...]
    """The labels of the runners."""
    again: str | None
    """The label of the runner that plays twice."""
    engine: str
    """The name of an engine."""
    image: str | None
    """The image of run-containers; None: harness-gcc."""
    command: str
    """The command line of a test event."""
    max_seconds: float
    """The time limit of one build."""
    scenarios: tuple[str, ...]
    """What to play."""
    rounds: int
    """How many rounds to play."""
    seed: int
    """The seed of the order within the blocks."""


def play_stint(stint: Stint) -> list[Sample]:
    """Play a stint and return all its samples; a machine that dies returns none."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch("parcel"))
        engine = stack.enter_context(closing(choose(stint.engine, image=stint.image).engine))
        comparison = Comparison(
            stint.tree.open(folder),
            [runners.parse_variant(label) for label in stint.runners],
            engine,
            stint.image,
            stint.command,
            stint.max_seconds,
            BlockPlan(0, stint.rounds, stint.scenarios),
            stint.seed,
            stint.again,
        )
        return list(compare(comparison))
