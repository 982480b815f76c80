"""All mutants, in the order of the table."""

from __future__ import annotations

from harness.engines.local.engine import LocalEngine
from harness.runners.claims import Property
from tests.mutants import edits, engines, histories, katas, transports
from tests.mutants.mutant import Honest, Mutant

CONTROL = Mutant("honest", Honest, Property.EXACT_MTIMES, whole=True)
"""No mistake at all: a proof that kills this one is itself wrong."""


def _on_docker(
    kind: type[Honest], killer: Property, engine: type[engines.DockerEngine], *, whole: bool = False
) -> Mutant:
    return Mutant(
        kind.name,
        kind,
        killer,
        lambda home: engine(),
        engine_name="docker",
        needs=engines.no_docker,
        whole=whole,
    )


def _bounded(kind: type[Honest], engine: type[LocalEngine], what: str = "") -> Mutant:
    """Return a mutant of isolation; trying for `what` alone is enough to kill it."""
    case = ("attempts", f"a run tries for {what}") if what else None
    return Mutant(kind.name, kind, Property.ISOLATED, engine, needs=engines.no_bounds, case=case)


MUTANTS = (
    Mutant("default-format-in", transports.DefaultFormatIn, Property.EXACT_MTIMES),
    Mutant("default-format-out", transports.DefaultFormatOut, Property.EXACT_MTIMES, whole=True),
    _on_docker(transports.DockerArchive, Property.EXACT_MTIMES, engines.DockerEngine),
    Mutant("python-tarfile", transports.PythonTarfile, Property.EXACT_MTIMES),
    Mutant(
        "busybox-tar", transports.BusyboxTar, Property.EXACT_MTIMES, needs=transports.no_busybox
    ),
    Mutant("dates-clamped", katas.DatesClamped, Property.EXACT_MTIMES, whole=True),
    Mutant("touch", katas.Touch, Property.EXACT_MTIMES),
    Mutant("additive", katas.Additive, Property.MIRROR),
    Mutant("renames-missed", katas.RenamesMissed, Property.MIRROR, whole=True),
    Mutant("empty-tar-back", katas.EmptyTarBack, Property.EXACT_MTIMES),
    Mutant("in-place", katas.InPlace, Property.ATOMIC, whole=True),
    Mutant("cut-taken-as-whole", transports.CutTakenAsWhole, Property.ATOMIC),
    Mutant("commits-timed-out", katas.CommitsTimedOut, Property.TIMED_OUT, whole=True),
    Mutant("killed-is-timed-out", engines.KilledIsTimedOut, Property.BEHAVES, whole=True),
    Mutant("unbumped", katas.Unbumped, Property.NO_MISSED_EDIT, whole=True),
    Mutant("clock-ahead", katas.ClockAhead, Property.INCREMENTAL, whole=True),
    Mutant("dependencies-left", transports.DependenciesLeft, Property.INCREMENTAL, whole=True),
    _on_docker(engines.Reuses, Property.FRESH, engines.ReusingEngine, whole=True),
    _on_docker(engines.SocketMounted, Property.ISOLATED, engines.SocketEngine, whole=True),
    _bounded(engines.CallsUnfiltered, engines.OpenEngine),
    _bounded(engines.BoundsForEach, engines.LooseEngine),
    _bounded(engines.VsockLetThrough, engines.FamilyEngine, "AF_VSOCK"),
    _bounded(engines.NetlinkLetThrough, engines.FamilyEngine, "AF_NETLINK"),
    _bounded(engines.RingLetThrough, engines.RingEngine, "io_uring"),
    _bounded(engines.NamespacesLetThrough, engines.NamespaceEngine, "a namespace of its own"),
    _bounded(engines.KeysLetThrough, engines.KeysEngine, "a key"),
    _bounded(engines.NewCallLetThrough, engines.NewCallEngine, "any other refused call"),
    _bounded(engines.MemoryByAddressSpace, engines.AddressEngine, "memory without a name"),
    _bounded(engines.ProcessesByUser, engines.UserEngine),
    Mutant(
        "buffers-uncounted",
        engines.BuffersUncounted,
        Property.ISOLATED,
        engines.BufferEngine,
        needs=engines.no_version_1,
        case=("attempts", "a run tries for memory of connections"),
    ),
    Mutant(
        "shared-memory-kept",
        engines.SharedMemoryKept,
        Property.FRESH,
        engines.CommonEngine,
        needs=engines.no_bounds,
    ),
    Mutant(
        "players-rights", katas.PlayersRights, Property.OWNERSHIP, needs=katas.not_root, whole=True
    ),
    Mutant("against-the-sandbox", edits.AgainstTheSandbox, Property.EDITS, whole=True),
    Mutant("put-back-as-new", edits.PutBackAsNew, Property.EDITS),
    Mutant("ages-ignored", edits.AgesIgnored, Property.EDITS),
    Mutant("future-left", edits.FutureLeft, Property.EDITS),
    Mutant("edit-into-the-future", edits.EditIntoTheFuture, Property.EDITS),
    Mutant("empty-folders-dropped", edits.EmptyFoldersDropped, Property.EDITS),
    Mutant("not-frozen", edits.NotFrozen, Property.EDITS),
    Mutant("sends-all", edits.SendsAll, Property.EDITS),
    Mutant("whole-seconds", edits.WholeSeconds, Property.EDITS),
    Mutant("symlinks-as-files", edits.SymlinksAsFiles, Property.MIRROR),
    Mutant("deletion-unsent", edits.DeletionUnsent, Property.MIRROR),
    Mutant("hard-links-forgotten", histories.HardLinksForgotten, Property.MIRROR),
    Mutant(
        "deletions-lost-in-folds",
        histories.DeletionsFolded,
        Property.MIRROR,
        histories.UnmarkedEngine,
        needs=histories.no_overlay,
    ),
    Mutant("loose-references-only", histories.LooseOnly, Property.HISTORY, whole=True),
    Mutant("tags-counted", histories.TagsCounted, Property.HISTORY),
    Mutant("output-forgotten", histories.OutputForgotten, Property.HISTORY),
    Mutant("commits-the-edit", histories.CommitsTheEdit, Property.HISTORY),
    Mutant(
        "label-forgotten",
        engines.LabelForgotten,
        Property.ATOMIC,
        engines.ForgetfulEngine,
        patience=3.0,
    ),
)
