"""Checks what a power failure may leave of the katas.

A few test events are played, and what they do to the disk is recorded. `crash_model` says what may
have landed at each moment. Each such disk is made in a scratch folder, and opened by the ordinary
code.

A state costs some ten milliseconds; a test event, as everywhere, what the engine takes.
"""

from __future__ import annotations

import functools
import random
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha1
from pathlib import Path
from typing import Any, cast

from harness.engines import Engine
from harness.engines.spec import Overlay
from harness.inside import objects, refs
from harness.inside.disk import remove_tree
from harness.inside.errors import HarnessError, UsageError
from harness.inside.folder_katas import FolderKatas
from harness.inside.journal import CONFIG
from harness.inside.layered_event import DEPTH
from harness.inside.layout import HISTORY, Avatar, avatar_folder, printable_name
from harness.katas.visible import VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.run import Output
from harness.verify.proofs.power.crash_disks import in_memory, make
from harness.verify.proofs.power.crash_model import CrashModel, Disk, Mark, Moment, RecordedCalls
from harness.verify.proofs.power.recording_engine import ACCEPTED, RecordingEngine, recorded
from harness.verify.proofs.shared.avatar_state import AvatarState, avatar_state, changed, holds
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import SECONDS, Subject, complete
from harness.verify.proofs.shared.tree_differences import differences
from harness.verify.proofs.shared.verdict import OwnKind, Refuted, Untried

STATES = 1000
"""States that are tried at least."""

_EVENTS = 4
"""Test events that each do something else; an overlay folds its layers after more of them."""

GIVEN_UP = 3
"""Before this test event another one is given up, once its run has ended."""

SEED = 12

NAME = "power"
"""The name of the search."""

SHRINKING = 200
"""States that are tried at most to tell a counterexample by fewer changes."""

_SCRIPT = """#!/bin/sh
step=$(cat step)
mkdir -p product
case $step in
1)
    mkdir -p product/deep && echo 1 >product/one && ln product/one product/link
    ln -s one product/symlink && echo 1 >product/deep/below && echo 1 >product/gone
    ;;
2)
    echo 2 >>product/one && rm product/gone && echo 2 >product/new
    if [ -e ahead ]; then echo 2 >product/ahead && touch -d '2100-01-01 00:00:00' product/ahead; fi
    ;;
3) rm -r product/deep && mkdir other && mv product/new other/new && chmod 700 other ;;
4)
    rm product/symlink && mkdir product/symlink && echo 4 >product/symlink/below
    rm product/link
    ;;
esac
echo "$step" >product/number
echo "$step"
"""
"""Makes files, folders and links, and changes what it finds in every way."""

_WORDS = re.compile(
    r"the power fails at point (?P<point>\d+) of test event (?P<event>\d+), "
    r"(?P<model>strict|ordered), (?P<landed>[0-9a-f]+) landed"
)


@dataclass(frozen=True)
class Case:
    """One state that a power failure may leave."""

    model: CrashModel
    # The test event during which the power fails, from 1; the one after the last stands for what
    # comes after it.
    event: int
    # The power fails before this item of the test event (a change, a call or a mark), from 0.
    point: int
    # A bit for each change that is not surely on the disk: whether it has landed.
    landed: int

    def __str__(self) -> str:
        return (
            f"the power fails at point {self.point} of test event {self.event}, {self.model}, "
            f"{self.landed:x} landed"
        )

    @classmethod
    def parse(cls, words: str) -> Case:
        """Return the case that `str(case)` wrote. Raises UsageError for any other text."""
        found = _WORDS.fullmatch(words)
        if not found:
            raise UsageError(f"{words!r} is not a power failure: copy the token whole")
        return cls(
            CrashModel(found["model"]),
            int(found["event"]),
            int(found["point"]),
            int(found["landed"], 16),
        )


_AT_ONCE = Case(CrashModel.STRICT, 2, 0, 0)
"""The first test event is accepted, and only what was forced is on the disk.

Later runs have no part in this case, so it is tried even if they could not be recorded completely:
a run in a mounted folder is seen only when the harness next looks.
"""


def files_of(event: int, *, given_up: bool = False, ahead: bool = False) -> VisibleFiles:
    """Return what is sent for a test event: changed, added and deleted files.

    With `ahead`, the run of the second test event leaves a stamp of the future.
    """
    texts: dict[str, str | bytes] = {
        "cyber-dojo.sh": _SCRIPT,
        "step": f"{event}\n",
        "deep/down": "1\n",
    }
    texts["edited"] = f"{event} was edited\n" if event > 1 else "as it was\n"
    if event == 1:
        texts["dropped"] = "1\n"
    if event == 2:
        texts["added"] = "2\n"
        texts["more/added"] = "2\n"
    if given_up:
        texts |= {"given-up": "1\n", "edited": "given up\n"}
    if ahead:
        texts["ahead"] = ""
    return VisibleFiles(texts)


def tried(subject: Subject, search: Search, model: CrashModel, *, states: int) -> None:
    """Refute by the first state that is neither as before nor as after, or lost something accepted.

    At least `states` are tried. Raises Untried if what is done to the katas cannot be recorded.
    """
    if not search.wants(NAME):
        return
    with in_memory() as folder:
        play = _play(subject)
        judge = _Judge(play, folder)

        def check(case: Case) -> None:
            if case != _AT_ONCE:
                judge.trust()
            try:
                judge.check(case)
            except Refuted as refuted:
                smaller, why = _smaller(judge, case, refuted, search.effort.shrink_seconds)
                raise Refuted(f"{judge.words(smaller)}: {why}") from refuted

        search.listed(NAME, _cases(play, model, states), check, parse=Case.parse)


@dataclass(frozen=True, eq=False)
class _Play:
    """What was played and recorded."""

    avatar: Avatar
    course: RecordedCalls
    # By test event; 0 is before the first.
    files: Mapping[int, VisibleFiles]
    given_up: VisibleFiles
    # What the katas themselves report at the end.
    after: AvatarState

    @functools.cached_property
    def points(self) -> dict[int, list[int]]:
        """Return the places where the power can fail: before each call and mark of a test event."""
        found: dict[int, list[int]] = {1: []}
        event, call = 1, None
        for place, item in enumerate(self.course.items):
            of = getattr(item, "call", None)
            if of is None or of != call:
                found[event].append(place)
            call = of
            if isinstance(item, Mark) and item.name == ACCEPTED:
                event += 1
                found[event] = []
        found[event].append(len(self.course.items))
        return found

    @functools.lru_cache(maxsize=256)  # noqa: B019 - it lives as long as the proof
    def at(self, event: int, point: int, model: CrashModel) -> Moment:
        """Return the moment at a point. Raises UsageError if there is no such point."""
        try:
            return self.course.at(self.points[event][point], model)
        except LookupError:
            raise UsageError(f"test event {event} has no point {point}") from None


def _play(subject: Subject) -> _Play:
    """Play the test events and record them."""
    engine = RecordingEngine(subject.engine)
    with replace(subject, engine=cast(Engine, engine)).runner(observe=False) as runner:
        records: list[dict[str, Any]] = engine.records
        avatar, events, layered = subject.avatar(), _EVENTS, runner.mounts is Overlay
        if layered:
            events = int(subject.variant.options.get("layers", DEPTH)) + 2
        # A crash leaves a tree without layers as it was brought back to the clock.
        files = {event: files_of(event, ahead=layered) for event in range(1, events + 1)}
        given_up = files_of(GIVEN_UP, given_up=True, ahead=layered)

        def play(mark: Callable[[str], object]) -> None:
            for event in range(1, events + 1):
                if event == GIVEN_UP:
                    _give_up(runner, avatar, given_up)
                complete(runner, avatar, files[event])
                mark(ACCEPTED)
                runner.prepare(avatar)
            runner.katas.tidy()
            with closing(runner.katas.event(avatar, **runner.how)):
                # What a runner of another kind does first.
                pass
            mark("ended")

        place = runner.katas.place()
        if not place:
            raise OwnKind("this runner keeps katas of its own kind, which cannot be recorded")
        if runner.katas.container(avatar):
            play(lambda name: None)
            # What a keeper does after its answer is reported with the next answer.
            runner.katas.list()
        else:
            with recorded(Path(place)) as (recorder, records):
                play(recorder.mark)
        engine.recording = False
        course = RecordedCalls(list(records))
        after = avatar_state(runner.katas, avatar)
    if len(course.marks(ACCEPTED)) != events:
        raise Untried(
            f"{len(course.marks(ACCEPTED))} of {events} accepted test events were recorded"
        )
    return _Play(avatar, course, {0: VisibleFiles({}), **files}, given_up, after)


class _GivenUp(HarnessError):
    """Raised by the proof to give up a test event."""


def _give_up(runner: BaseRunner, avatar: Avatar, files: VisibleFiles) -> None:
    """Play a test event that is not accepted, though its run ends in time."""

    def give_up(output: Output) -> None:
        raise _GivenUp

    run = runner.run(avatar, files, max_seconds=SECONDS, on_output=give_up)
    if run.tag is not None:
        raise Untried("a test event was accepted whose output nobody took")


def _cases(play: _Play, model: CrashModel, states: int) -> Iterator[Case]:
    """Yield cases: at least one at each point, unless there are more points than states.

    What was accepted and not forced to the disk comes first, since it is lost most easily.
    """
    if model is CrashModel.STRICT:
        yield _AT_ONCE
    draw = random.Random(SEED)
    points = [
        (event, point) for event in _interesting(play) for point in range(len(play.points[event]))
    ]
    count = turn = 0
    # Where there are many points, each turn tries only some of them.
    every = max(1, _LEAST * len(points) // (2 * states) + 1)
    while count < states or turn < _LEAST:
        for number, (event, point) in enumerate(points[turn % every :: every]):
            moment = play.at(event, point, model)
            yield Case(
                model,
                event,
                point,
                _mask(draw, moment, turn if turn < _LEAST else _LEAST + number % 4),
            )
            count += 1
        turn += 1


_LEAST = 3
"""How often the power fails at each point: with only the last changes on the disk, with nearly all
changes, and with all names but no contents.
"""


def _interesting(play: _Play) -> list[int]:
    """Return the test events, without those that only lead up to others."""
    events = sorted(play.points)
    return [event for event in events if event <= _EVENTS or event >= len(events) - 1]


def _mask(draw: random.Random, moment: Moment, style: int) -> int:
    """Draw which of the unsure changes have landed."""
    size = len(moment.unsure)
    if not size:
        return 0
    newest = moment.unsure[-1].call
    every = (1 << size) - 1
    last = folders = names = few = 0
    for number, change in enumerate(moment.unsure):
        bit = 1 << number
        last |= bit if change.call == newest else 0
        names |= bit if change.names else 0
        folders |= bit if moment.makes_folder(change) else 0
    for _ in range(draw.randint(1, 3)):
        few |= 1 << draw.randrange(size)
    return [last | folders, (every ^ few) | last, names, every, draw.getrandbits(size), 0, few][
        style
    ]


def _smaller(judge: _Judge, case: Case, refuted: Refuted, seconds: float) -> tuple[Case, Refuted]:
    """Find a case with fewer changes that have landed, or that have not."""
    until, left = time.monotonic() + seconds, SHRINKING
    size = len(judge.play.at(case.event, case.point, case.model).unsure)
    every = (1 << size) - 1

    def fails(landed: int) -> Refuted | None:
        nonlocal left
        left -= 1
        try:
            judge.check(replace(case, landed=landed))
        except Refuted as found:
            return found
        return None

    best, why = case.landed & every, refuted
    for simple in (0, every):
        if found := fails(simple):
            return replace(case, landed=simple), found
    few_landed = best.bit_count() <= size // 2
    for number in range(size):
        if left <= 0 or time.monotonic() > until:
            break
        bit = 1 << number
        if bool(best & bit) == few_landed and (found := fails(best ^ bit)):
            best, why = best ^ bit, found
    return replace(case, landed=best), why


class _Judge:
    """Makes states and checks them."""

    def __init__(self, play: _Play, folder: Path) -> None:
        """Make the states in `folder`."""
        self.play, self._folder = play, folder
        self._count = 0
        self._wanted = {0: AvatarState({}, ())}
        for event, place in enumerate(play.course.marks(ACCEPTED), 1):
            everything = play.course.at(place, CrashModel.STRICT)
            self._wanted[event] = self._open(everything.disk(-1))[0]

    def trust(self) -> None:
        """Raise Untried if the recording does not lead to what the katas hold."""
        if said := differences(
            self.play.after.sandbox, self._wanted[len(self._wanted) - 1].sandbox
        ):
            raise Untried(f"the recording does not lead to what the katas hold: {said}")

    def words(self, case: Case) -> str:
        """Describe the case for a reader."""
        moment = self.play.at(case.event, case.point, case.model)
        during = (
            f"test event {case.event}"
            if case.event < len(self._wanted)
            else "what comes after the last one"
        )
        accepted = f", test event {case.event - 1} is accepted," if case.event > 1 else ""
        return f"in {during}{accepted} {moment.words(case.landed)}"

    def check(self, case: Case) -> None:
        """Raise Refuted unless the state is whole, and nothing accepted is lost."""
        disk = self.play.at(case.event, case.point, case.model).disk(case.landed)
        before = case.event - 1
        sent = [self.play.files[before], self.play.files.get(case.event, self.play.files[before])]
        if case.event == GIVEN_UP:
            sent.insert(1, self.play.given_up)
        state, delta = self._open(disk, tuple(sent))
        if state.tag < before:
            raise Refuted(
                f"test event {before} was reported as accepted, but there are only {state.tag} tags"
            )
        wanted = self._wanted[state.tag]
        if state.commits != wanted.commits:
            raise Refuted("the history has changed")
        if state.tag > before:
            if said := differences(wanted.sandbox, state.sandbox):
                raise Refuted(f"test event {state.tag} is accepted, but {said}")
        elif said := changed(wanted, state, *sent):
            what = (
                f"test event {case.event} is not accepted"
                if case.event in self._wanted
                else "no more is accepted"
            )
            raise Refuted(f"{what}, but {said}")
        for files, written in delta:
            for name, file in files.items():
                entry = state.sandbox.get(name)
                if name not in written and not (entry and holds(entry, file.read())):
                    raise Refuted(
                        f"the next test event would take {printable_name(name)} for what it is not"
                    )

    def _open(
        self, disk: Disk, sent: tuple[VisibleFiles, ...] = ()
    ) -> tuple[AvatarState, list[tuple[VisibleFiles, frozenset[bytes]]]]:
        """Return the state that ordinary code finds, and what sending these files would write."""
        self._count += 1
        place = self._folder / str(self._count)
        try:
            make(disk, place)
            katas = FolderKatas(place)
            try:
                state = avatar_state(katas, self.play.avatar)
                _check_history(place / avatar_folder(self.play.avatar) / HISTORY)
            except (OSError, ValueError, LookupError, StopIteration) as error:
                # Dulwich raises any of these for a torn file.
                raise Refuted(
                    f"the katas cannot be read: {type(error).__name__}: {error}"
                ) from error
            try:
                with closing(katas.event(self.play.avatar)) as event:
                    written = [
                        (files, frozenset(event.compare(files.manifest()).delta.written))
                        for files in sent
                    ]
            except HarnessError as error:
                raise Refuted(f"the next test event fails: {error}") from error
            return state, written
        finally:
            remove_tree(place)


def _check_history(history: Path) -> None:
    """Check that nothing of an empty history is torn, nor any loose object.

    Only the first reader of a commit would notice the former. The next test event with a torn
    object would take it for whole. Raises OSError.
    """
    for name, whole in (("HEAD", f"ref: {refs.BRANCH}\n".encode()), ("config", CONFIG)):
        if (history / name).read_bytes() != whole:
            raise Refuted(f"the {name} of the history is torn")
    for name in objects.loose(str(history)):
        with open(objects.path_of(str(history), name), "rb") as file:
            content = file.read()
        try:
            found = sha1(zlib.decompress(content), usedforsecurity=False).hexdigest()
        except zlib.error:
            found = ""
        if found != name:
            raise Refuted(f"an object of the history is torn: {name}")
