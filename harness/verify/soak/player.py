"""A player in a thread: it presses the button, meets faults, and checks the katas by the model."""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from harness.inside.errors import HarnessError
from harness.inside.layout import Avatar, printable_name
from harness.inside.tree import Entry
from harness.katas.places import VOLUME
from harness.katas.visible import FOLDER, VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.claims import Property
from harness.runners.run import Outcome, Run
from harness.runners.variant import Variant
from harness.verify.faults.disk_faults import FULL, KILLED
from harness.verify.faults.faulty_engine import FaultyEngine
from harness.verify.faults.packed_references import ALL, pack_references
from harness.verify.faults.timed_fault import KEEPER, RUN, TimedFault
from harness.verify.proofs.shared.avatar_state import holds
from harness.verify.proofs.shared.tree_differences import differences
from harness.verify.proofs.shared.verdict import Refuted
from harness.verify.soak import harness_process
from harness.verify.soak.download import Download, downloaded, without_set_id
from harness.verify.soak.model import SCRIPT_NAME, SLACK_NS, SentEvent, World, folders_above
from harness.verify.soak.player_folder import PlayerFolder, must_build
from harness.verify.soak.presses import (
    LIFE,
    SOURCES,
    Ending,
    PressPlan,
    SoakFault,
    draw,
    possible_faults,
)
from harness.verify.soak.script import (
    FAILURE,
    HELLO,
    LEFT,
    MAKEFILE,
    PRODUCT,
    expected_product,
    hello,
    write_script,
)
from harness.verify.testing.sessions import MOVE, RENAME, Model, Node

CHECKED, SEARCHED, BUILT = 4, 20, 40
"""Test events between downloads that are compared, searched by git fsck, built from nothing."""

SELDOM = 40
"""CHECKED for every other avatar, since a download folds any layers."""

MOST_SECONDS = 60.0
HANGS_SECONDS = 1.0

HOST_PRODUCT = b"made on the host\n"


@dataclass(frozen=True)
class Violation:
    """A rule that the katas, or the player's output, broke."""

    runner: str
    """The label of the runner's variant."""
    player: int
    """The number of the player, from 0."""
    number: int
    """The number of the test event, from 0."""
    words: str
    """What is wrong."""
    plan: str
    """The test event, in words."""
    before: str
    """The test event before it, and how it ended."""


class SoakPlayer:
    """The player of one thread; each of its avatars lives for LIFE test events."""

    def __init__(
        self, number: int, seed: str, variant: Variant, engine: FaultyEngine, runner: BaseRunner
    ) -> None:
        self.number, self.seed, self.variant = number, seed, variant
        self.engine, self.runner = engine, runner
        claims = variant.claims(engine)
        self._claims, self._katas = claims, runner.katas
        self._faults = possible_faults(engine.unwrapped, keepers=runner.katas_in == VOLUME)
        # Seconds that a test event takes, on average.
        self._pace = 0.3
        self._folder = PlayerFolder() if number % 2 and Property.MIRROR in claims else None
        self.counts: Counter[str] = Counter()
        self.avatar = Avatar()
        self._begin(0)

    def close(self) -> None:
        if self._folder:
            self._folder.close()

    def play(self, number: int) -> Violation | None:
        """Play a test event, and check everything that must be true after it."""
        plan = draw(
            self.seed,
            self.number,
            number,
            self._faults,
            cheap=self.engine.quick,
            folder=bool(self._folder),
        )
        if plan.fresh:
            self._begin(number)
        try:
            self._press(plan)
        except (Refuted, HarnessError) as error:
            return self._violation(plan, str(error))
        except Exception as error:
            # A bug of the katas, or of the soak: a thread that has ended would look clean.
            where = traceback.extract_tb(error.__traceback__)[-1]
            return self._violation(
                plan, f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
            )
        self.counts["events"] += 1
        return None

    def _violation(self, plan: PressPlan, said: str) -> Violation:
        return Violation(
            self.variant.label,
            self.number,
            plan.number,
            " ".join(said.split()),
            str(plan),
            self._last,
        )

    def _begin(self, number: int) -> None:
        """Take a new avatar, in a kata that it now and then shares with another player's."""
        if number:
            with suppress(HarnessError):
                self._katas.remove(self.avatar.kata, self.avatar.name)
        name = ("lion", "spider")[self.number // 2 % 2]
        self.avatar = Avatar(
            f"{self.number % 2 + 10 * (self.number // 4):04d}{number // LIFE:06d}", name
        )
        claims = self._claims
        model = Model()
        model.visible = {
            b"p/Makefile": Node("f", MAKEFILE),
            **{name: Node("f", b"000\n") for name in SOURCES},
        }
        if self._folder:
            model.has_folder = True
            model.visible |= {PRODUCT: Node("f", HOST_PRODUCT), **self._folder.begin()}
        self.world = World(Property.MIRROR in claims, Property.EXACT_MTIMES in claims, model)
        self._must = self._may = self._host = False
        # A product whose run was hit by a fault while it wrote it.
        self._torn: bytes | None = None
        self._ahead: set[bytes] = set()
        self._last = "it is the first of its avatar"
        self._checked = CHECKED if number // LIFE % 2 == 0 else SELDOM

    def _press(self, plan: PressPlan) -> None:
        world, model = self.world, self.world.model
        if world.doubt or not world.keeps:
            plan = replace(plan, deeds=(), before=(), late=())
        if Property.RENAMES not in self._claims:
            plan = replace(
                plan,
                deeds=[
                    replace(deed, verb=MOVE) if deed.verb == RENAME else deed for deed in plan.deeds
                ],
            )
        if plan.packs and pack_references(self.engine.unwrapped, self._katas, self.avatar, ALL):
            self.counts["references packed"] += 1
        old = dict(model.sent)
        model.edit(plan.edits)
        if plan.compiles:
            model.visible[HELLO] = Node("f", hello(plan.number))
            self.counts["builds with gcc"] += 1
        predicted = self._predict(plan)
        model.visible[SCRIPT_NAME] = Node("f", write_script(plan, predicted), program=True)
        files = self._files(plan)
        pressed = time.time_ns()
        run, why, struck = self._run(plan, files)
        took = (time.time_ns() - pressed) / 1e9
        if not plan.fault and plan.ending is not Ending.HANGS:
            self._pace += (took - self._pace) * 0.1
        if run and run.tag is not None:
            self._completed(plan, run, files, pressed)
            if struck or plan.number % self._checked == 0:
                self._check(plan)
        elif struck or (plan.ending is Ending.HANGS and run and run.outcome is Outcome.TIMED_OUT):
            self._cut_off(plan, files, old, pressed, struck=struck)
        else:
            outcome, why = (run.outcome, run.reason) if run else ("refused", why)
            raise Refuted(f"a test event was {outcome}: {why}")
        self.counts[f"it {plan.ending}"] += 1
        self._last = f"{plan}; {run.outcome if run else why}, with {len(world.sent)} tags then"

    def _predict(self, plan: PressPlan) -> Model:
        """Return the model of the sandbox just before the run, if nothing is in doubt."""
        predicted = self.world.model.copy()
        if not self.world.keeps:
            predicted.tree, predicted.sent = {}, {}
        predicted.arrive()
        return predicted

    def _files(self, plan: PressPlan) -> VisibleFiles:
        model = self.world.model
        if self._folder:
            self._folder.write(model, Random(plan.stamps))
            if plan.fresh:
                self._must = must_build(self._folder.stamps)
                self._host = True
            return VisibleFiles.from_folder(self._folder.path)
        return VisibleFiles(model.files())

    def _run(self, plan: PressPlan, files: VisibleFiles) -> tuple[Run | None, str, bool]:
        """Return the run, or why there is none, and whether a fault excuses that."""
        limit = HANGS_SECONDS + self._pace if plan.ending is Ending.HANGS else MOST_SECONDS
        if plan.fault is SoakFault.HARNESS_KILLED:
            told = harness_process.ChildPlay(
                self.variant,
                self.engine.unwrapped,
                self.runner.image,
                self._katas.place(),
                self.avatar,
                {name: (file.mode, file.read(), file.age) for name, file in files.items()},
                limit,
            )
            finished = harness_process.play_child(told, self._pace * plan.moment)
            self.counts[plan.fault] += not finished
            return None, "the harness was killed", True
        try:
            with self._striking(plan):
                return (
                    self.runner.run(self.avatar, files, max_seconds=limit),
                    "",
                    self._struck(plan),
                )
        except HarnessError as error:
            return None, str(error), self._struck(plan)

    def _struck(self, plan: PressPlan) -> bool:
        return plan.fault is not None and plan.fault is not SoakFault.IDLE_KILLED

    @contextmanager
    def _striking(self, plan: PressPlan) -> Iterator[None]:
        if plan.fault is None:
            yield
            return
        self.counts[plan.fault] += 1
        if plan.fault is SoakFault.DISK_FULL:
            with self.engine.armed(TimedFault(KEEPER, FULL, change=plan.change)):
                yield
            return
        if plan.fault is SoakFault.IDLE_KILLED:
            self.engine.strike(KEEPER, KILLED)
            yield
            return
        # Others' runs have an engine of their own; the last run is this test event's.
        strike = partial(
            self.engine.strike,
            plan.fault.victim,
            plan.fault.action,
            last=plan.fault.victim == RUN,
        )
        timer = threading.Timer(self._pace * plan.moment, strike)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _completed(self, plan: PressPlan, run: Run, files: VisibleFiles, pressed: int) -> None:
        world, model = self.world, self.world.model
        if run.observed is None or not run.observed.after:
            raise Refuted("the runner does not observe the sandbox")
        if run.tag != len(world.sent) + 1:
            raise Refuted(f"it got the tag {run.tag} after {len(world.sent)}")
        world.arrive(run.observed.before, pressed)
        # Apply what the run leaves.
        write_script(plan, model)
        self._check_build(plan, run)
        self._accept(files, run.stdout.encode())
        world.ran(run.observed.after)

    def _accept(self, files: VisibleFiles, stdout: bytes) -> None:
        sent = {
            name: (file.mode, file.read()) for name, file in files.items() if file.mode != FOLDER
        }
        self.world.sent.append(SentEvent(sent, stdout))

    def _check_build(self, plan: PressPlan, run: Run) -> None:
        """Check that the output is right, and that no more was built than by make in place."""
        world, model = self.world, self.world.model
        edited = world.edited & set(SOURCES)
        if not plan.fresh:
            self._must |= bool(edited)
        self._ahead -= edited
        if plan.ending is Ending.LEAVES:
            if run.status != LEFT:
                raise Refuted(f"it ended with {run.status}: {run.stderr.strip()}")
            return
        must = self._must or bool(plan.before) or PRODUCT not in model.tree
        may = must or self._may or bool(self._ahead)
        built = "built\n" in run.stderr
        if must or built:
            self._host, self._torn = False, None
        wanted = HOST_PRODUCT if self._host else expected_product(model)
        if self._torn is not None:
            wanted = self._torn
        if built:
            model.tree[PRODUCT] = Node("f", wanted)
        greeting = b"hello %d\n" % plan.number if plan.compiles else b""
        status = FAILURE if plan.ending is Ending.FAILS else 0
        if (run.stdout.encode(), run.status) != (wanted + greeting, status):
            wanted_output = (wanted + greeting).decode()
            said = f"{run.stdout!r} and {run.status}, not {wanted_output!r} and {status}"
            raise Refuted(f"the run gave {said}: {' '.join(run.stderr.split())[:200]}")
        if built and not may:
            raise Refuted("it was built again, and nothing that it is made of was edited")
        self._must = self._may = False
        self._ahead |= {path for path, date in plan.late if path in SOURCES}

    def _check(self, plan: PressPlan) -> None:
        with downloaded(self._katas, self.avatar) as found:
            self.counts["downloads checked"] += 1
            self.counts["entries compared"] += len(found.sandbox)
            self.world.check(found)
            if plan.number % SEARCHED == 0:
                found.check_history()
                self.counts["git fsck"] += 1
            tags = len(self.world.sent)
            for tag in {tags, 1 + plan.stamps % tags}:
                self.world.check_tag(found, tag)
        if plan.number % BUILT == 0:
            self._build_from_nothing(plan)

    def _build_from_nothing(self, plan: PressPlan) -> None:
        """Let another avatar build the same sources from nothing."""
        model = self.world.model
        names = (b"p/Makefile", *SOURCES)
        nodes = {name: model.tree[name] for name in names if name in model.tree}
        script = b"#!/bin/sh\nmake -s -C p product && cat p/product\n"
        files = {name.decode(): node.content for name, node in nodes.items()} | {
            "cyber-dojo.sh": script
        }
        other = Avatar(self.avatar.kata, f"fresh{self.number}-{plan.number}")
        run = self.runner.run(other, files, max_seconds=MOST_SECONDS)
        if run.stdout.encode() != expected_product(model):
            raise Refuted(
                f"a build from nothing gave {run.stdout!r} and {run.reason or run.stderr!r}"
            )
        self._katas.remove(other.kata, other.name)
        self.counts["builds from nothing"] += 1

    def _cut_off(
        self,
        plan: PressPlan,
        files: VisibleFiles,
        old: dict[bytes, Node],
        pressed: int,
        *,
        struck: bool,
    ) -> None:
        """Check that the katas hold the state before or after; go on from what was found."""
        world = self.world
        if plan.fault is SoakFault.HARNESS_KILLED:
            self.engine.sweep()
        with downloaded(self._katas, self.avatar) as found:
            self.counts["downloads checked"] += 1
            self.counts["entries compared"] += len(found.sandbox)
            accepted = found.tag == len(world.sent) + 1
            if found.tag not in (len(world.sent), len(world.sent) + struck):
                raise Refuted(
                    f"{len(world.sent)} test events were accepted, and there are {found.tag} tags"
                )
            if found.commits[: len(world.commits)] != world.commits:
                raise Refuted("the history is not what it was")
            if accepted:
                self._check_accepted(plan, found)
            elif (Property.ATOMIC if struck else Property.TIMED_OUT) in self._claims:
                self._check_as_before(found, old, files, pressed)
            world.adopt(found, old, accepted=accepted)
            if accepted:
                self._accept(files, found.files(found.tag)[1])
                world.check_tag(found, found.tag)
            found.check_history()
        self._must, self._may = False, True
        # As in place: make takes a torn product for up to date.
        if Property.ATOMIC not in self._claims:
            product = world.model.tree.get(PRODUCT)
            self._torn = product.content if product and product.kind == "f" else None
        self._host = False if self._must else self._host and not accepted
        self._ahead = set(SOURCES) if plan.late else self._ahead

    def _check_as_before(
        self, found: Download, old: dict[bytes, Node], files: VisibleFiles, pressed: int
    ) -> None:
        world = self.world
        if not world.keeps or not world.entries or world.doubt:
            return
        before = without_set_id(
            {**world.model.entries(world.entries, contents=True), b".": world.entries[b"."]}
        )
        here = without_set_id(found.sandbox)
        names = old.keys() | files.keys()
        near = {b"."} | {folder for name in names for folder in folders_above(name)}
        aside = {
            path
            for path in before.keys() | here.keys()
            if path in near or any(path.startswith(name + b"/") for name in names)
        }
        links = {before[path].link for path in (aside | names) & before.keys()}
        for path in sorted((before.keys() | here.keys()) - aside):
            was, now = before.get(path), here.get(path)
            if was and now and was.link in links:
                # One of its names may be another file now.
                now = replace(now, link=was.link)
            if was == now:
                continue
            if path in names:
                nodes = (old.get(path), world.model.visible.get(path))
                if (
                    was
                    and now
                    and replace(was, mtime_ns=0, mode=0) == replace(now, mtime_ns=0, mode=0)
                ):
                    continue  # put back, or brought back to the clock
                if any(_holds(node, now) for node in nodes):
                    continue
            elif was and now and was == replace(now, mtime_ns=was.mtime_ns):
                loose = world.loose.get(path, set())
                brought_back = max({was.mtime_ns} | loose) > pressed - SLACK_NS
                ahead_again = now.mtime_ns in loose
                if brought_back or ahead_again:
                    continue
            what = f"{printable_name(path)} {'is there' if now else 'is gone'}"
            if was and now:
                what = differences({path: was}, {path: now})
            raise Refuted(f"the test event was not accepted, but {what}")

    def _check_accepted(self, plan: PressPlan, found: Download) -> None:
        world = self.world
        if not world.keeps or world.doubt:
            return
        after = self._predict(plan)
        write_script(plan, after)
        product = found.nodes().get(PRODUCT)
        if product and product.content == expected_product(after):
            after.tree[PRODUCT] = Node("f", product.content)
        tree = {path: entry for path, entry in found.sandbox.items() if path != b"."}
        after.settle(tree)
        if said := differences(after.entries(tree, contents=True), tree):
            raise Refuted(f"the test event was accepted, but {said}")


def _holds(node: Node | None, entry: Entry | None) -> bool:
    """Whether a visible file is there as it was sent, or is missing as it was."""
    if node is None or entry is None:
        return node is None and entry is None
    if node.kind == "f":
        return holds(entry, node.content)
    return (entry.kind, entry.target) == (node.kind, node.content)
