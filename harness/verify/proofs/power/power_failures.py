"""What a failure of the power may leave of the katas: a few test events are played and what they do to the disk is recorded; then
`crash_model` says what may have landed at each moment of them, and each such disk is made in a scratch folder and
opened by the ordinary code.

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
from harness.katas.granular_katas import GranularKatas
from harness.katas.visible import VisibleFiles
from harness.katas.volume_katas import VolumeKatas
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
"""How many are made at least."""

_EVENTS = 4
"""Test events that each do something else; an overlay folds its layers after more of them."""

GIVEN_UP = 3
"""The test event before which another one is given up, once its run has ended."""

SEED = 12

NAME = "power"
"""Of the search."""

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
4) rm product/symlink && mkdir product/symlink && echo 4 >product/symlink/below && rm product/link ;;
esac
echo "$step" >product/number
echo "$step"
"""
"""Makes files, folders, links, and changes what it finds in each way there is."""

_WORDS = re.compile(
    r"the power fails at point (?P<point>\d+) of test event (?P<event>\d+), (?P<model>strict|ordered), "
    r"(?P<landed>[0-9a-f]+) landed"
)


@dataclass(frozen=True)
class Case:
    """One state that may be left."""

    model: CrashModel
    event: int  # during which one, from 1; the one after the last is what comes after it
    point: int  # before which of its changes, calls and marks, from 0
    landed: int  # a bit for each change that is not on the disk for sure

    def __str__(self) -> str:
        return f"the power fails at point {self.point} of test event {self.event}, {self.model}, {self.landed:x} landed"

    @classmethod
    def parse(cls, words: str) -> Case:
        """The case that `str(case)` wrote. Raises UsageError for anything else."""
        found = _WORDS.fullmatch(words)
        if not found:
            raise UsageError(f"{words!r} is no failure of the power")
        return cls(
            CrashModel(found["model"]),
            int(found["event"]),
            int(found["point"]),
            int(found["landed"], 16),
        )


_AT_ONCE = Case(CrashModel.STRICT, 2, 0, 0)
"""The first test event is accepted, and only what was forced is on the disk. What runs do later has no part in it, so it is tried
even where that could not all be recorded: a run in a mounted folder is seen only when the harness next looks.
"""


def files_of(event: int, *, given_up: bool = False, ahead: bool = False) -> VisibleFiles:
    """What is sent for a test event: changed, added and deleted files. With `ahead` the second one's run leaves a stamp of the
    future.
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
    """Refuted by the first state, of so many, that is neither as before nor as after, or has lost what was accepted. Raises
    Untried where what is done to the katas cannot be seen.
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
    files: Mapping[int, VisibleFiles]  # by test event; 0 is before the first
    given_up: VisibleFiles
    after: AvatarState  # what the katas hold in the end, as they themselves tell

    @functools.cached_property
    def points(self) -> dict[int, list[int]]:
        """Where the power can fail, by test event: before each call, and each mark."""
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

    @functools.lru_cache(maxsize=256)  # noqa: B019 - it goes with the proof
    def at(self, event: int, point: int, model: CrashModel) -> Moment:
        """Raises UsageError for what is not there."""
        try:
            return self.course.at(self.points[event][point], model)
        except LookupError:
            raise UsageError(f"test event {event} has no point {point}") from None


def _play(subject: Subject) -> _Play:
    """Play and record."""
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
                pass  # as a runner of another kind would come
            mark("ended")

        if isinstance(runner.katas, FolderKatas):
            with recorded(runner.katas.root) as (recorder, records):
                play(recorder.mark)
        elif isinstance(runner.katas, VolumeKatas | GranularKatas):
            play(lambda name: None)
            runner.katas.list()  # what a keeper does after its answer is told with the next one
        else:
            raise OwnKind(
                "what this runner does to its katas cannot be recorded: they are of its own kind"
            )
        engine.recording = False
        course = RecordedCalls(list(records))
        after = avatar_state(runner.katas, avatar)
    if len(course.marks(ACCEPTED)) != events:
        raise Untried(
            f"{len(course.marks(ACCEPTED))} of {events} accepted test events were recorded"
        )
    return _Play(avatar, course, {0: VisibleFiles({}), **files}, given_up, after)


class _GivenUp(HarnessError):
    """By the proof."""


def _give_up(runner: BaseRunner, avatar: Avatar, files: VisibleFiles) -> None:
    """A test event that is not accepted, though its run ended in time."""

    def give_up(output: Output) -> None:
        raise _GivenUp

    run = runner.run(avatar, files, max_seconds=SECONDS, on_output=give_up)
    if run.tag is not None:
        raise Untried("a test event was accepted whose output nobody took")


def _cases(play: _Play, model: CrashModel, states: int) -> Iterator[Case]:
    """At each point at least one, unless a few states are enough; first of all what was accepted and not forced to the disk, as
    that is lost the soonest.
    """
    if model is CrashModel.STRICT:
        yield _AT_ONCE
    draw = random.Random(SEED)
    points = [
        (event, point) for event in _interesting(play) for point in range(len(play.points[event]))
    ]
    count = turn = 0
    every = max(
        1, _LEAST * len(points) // (2 * states) + 1
    )  # so many of them in turn, where there are many
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
"""How often the power fails at each point: with nothing on the disk but what was done last, with nearly all, and with all names
but nothing of what they name.
"""


def _interesting(play: _Play) -> list[int]:
    """All test events but those that only bring others near."""
    events = sorted(play.points)
    return [each for each in events if each <= _EVENTS or each >= len(events) - 1]


def _mask(draw: random.Random, moment: Moment, style: int) -> int:
    """Which of the unsure changes have landed."""
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
    """The same, told by fewer changes: of what has landed, or of what has not."""
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
    """Makes states and looks at them."""

    def __init__(self, play: _Play, folder: Path) -> None:
        """In this folder."""
        self.play, self._folder = play, folder
        self._count = 0
        self._wanted = {0: AvatarState({}, ())}
        for event, place in enumerate(play.course.marks(ACCEPTED), 1):
            everything = play.course.at(place, CrashModel.STRICT)
            self._wanted[event] = self._open(everything.disk(-1))[0]

    def trust(self) -> None:
        """Raise Untried where the recording does not lead to what the katas hold."""
        if said := differences(
            self.play.after.sandbox, self._wanted[len(self._wanted) - 1].sandbox
        ):
            raise Untried(f"the recording does not lead to what the katas hold: {said}")

    def words(self, case: Case) -> str:
        """The case for a reader."""
        moment = self.play.at(case.event, case.point, case.model)
        during = (
            f"test event {case.event}"
            if case.event < len(self._wanted)
            else "what comes after the last one"
        )
        accepted = f", test event {case.event - 1} is accepted," if case.event > 1 else ""
        return f"in {during}{accepted} {moment.words(case.landed)}"

    def check(self, case: Case) -> None:
        """Refuted unless what is there is whole, and nothing is lost."""
        disk = self.play.at(case.event, case.point, case.model).disk(case.landed)
        before = case.event - 1
        sent = [self.play.files[before], self.play.files.get(case.event, self.play.files[before])]
        if case.event == GIVEN_UP:
            sent.insert(1, self.play.given_up)
        state, delta = self._open(disk, tuple(sent))
        if state.tag < before:
            raise Refuted(
                f"test event {before} was told as accepted, and there are but {state.tag}"
            )
        wanted = self._wanted[state.tag]
        if state.commits != wanted.commits:
            raise Refuted("the history is another one")
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
                        f"{printable_name(name)} would be taken for what it is not by the next test event"
                    )

    def _open(
        self, disk: Disk, sent: tuple[VisibleFiles, ...] = ()
    ) -> tuple[AvatarState, list[tuple[VisibleFiles, frozenset[bytes]]]]:
        """What the ordinary code finds on it, and what a test event that sends these files would write."""
        self._count += 1
        place = self._folder / str(self._count)
        try:
            make(disk, place)
            katas = FolderKatas(place)
            try:
                state = avatar_state(katas, self.play.avatar)
                _check_history(place / avatar_folder(self.play.avatar) / HISTORY)
            except (
                OSError,
                ValueError,
                LookupError,
                StopIteration,
            ) as error:  # a git's of what is torn
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
    """What is torn of an empty one would be found by the first who looks for a commit in it; an object that is torn would be
    taken for whole by the next test event that has it. Raises OSError.
    """
    for each, whole in (("HEAD", f"ref: {refs.BRANCH}\n".encode()), ("config", CONFIG)):
        if (history / each).read_bytes() != whole:
            raise Refuted(f"the history has a {each} that is torn")
    for name in objects.loose(str(history)):
        with open(objects.path_of(str(history), name), "rb") as file:
            content = file.read()
        try:
            found = sha1(zlib.decompress(content), usedforsecurity=False).hexdigest()
        except zlib.error:
            found = ""
        if found != name:
            raise Refuted(f"the history holds an object that is torn: {name}")
