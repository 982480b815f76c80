"""Checks of what happens in a sandbox, and of what is left of it."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import replace

from harness.engines import Engine, Limits
from harness.engines.folders import scratch
from harness.engines.guest.environment import DEFAULTS
from harness.engines.streams import Stream
from harness.inside import tarpipe
from harness.inside.errors import EngineError, StreamCut
from harness.inside.tree import Snapshot, snapshot
from harness.verify.conformance.checking import CHECK_SECONDS, executed, must, sandbox_on
from harness.verify.proofs import Refuted
from harness.verify.proofs.shared.waiting import eventually

_SECRET = "HARNESS_CONFORMANCE_SECRET"


def _plain(tree: Snapshot) -> Snapshot:
    """Return a snapshot as a sandbox shows it, without contents."""
    return {path: replace(entry, target=b"", digest="", link=b"") for path, entry in tree.items()}


def brings_trees_back(engine: Engine) -> None:
    """A tree goes there and back several times, exact to the nanosecond."""
    with scratch("conformance") as folder, sandbox_on(engine) as sandbox:
        tree = folder / "0"
        tree.mkdir(mode=0o755)
        (tree / "a file").write_text("0")
        (tree / "link").symlink_to("a file")
        os.link(tree / "a file", tree / "other name")
        (tree / "program").write_text("#!/bin/sh\n")
        (tree / "program").chmod(0o751)
        os.utime(tree / "a file", ns=(1, 1_234_567_890_123_456_789))
        for number in (1, 2, 3):
            before = snapshot(tree, contents=True)
            sandbox.unpack(lambda write, tree=tree: tarpipe.pack(str(tree), write))  # type: ignore[misc]
            arrived = sandbox.observe()
            must(arrived == _plain(before), "a tree does not arrive as it was sent")
            must(executed(sandbox, f"echo >made-{number}").status == 0, "nothing can be written")
            tree = folder / str(number)
            tree.mkdir()
            tarpipe.unpack(str(tree), sandbox.pack())
            after = snapshot(tree, contents=True)
            changed = {path for path in before | after if before.get(path) != after.get(path)}
            made = {b".", b"made-%d" % number}
            must(changed == made, f"of a tree came back changed: {sorted(changed - made)!r}")


def hands_out_output(engine: Engine) -> None:
    """stdout and stderr are apart, raw, and cut at the limit."""
    with sandbox_on(engine, Limits(output=1000)) as sandbox:
        said = executed(sandbox, "printf 'out\\377'; printf 'err\\0' >&2; exit 3")
        must(
            (said.stdout, said.stderr, said.status, said.truncated)
            == (b"out\xff", b"err\0", 3, False),
            f"of 'out\\377' and 'err\\0' with status 3 came {said}",
        )
        said = executed(sandbox, "head -c 1001 /dev/zero; head -c 1000 /dev/zero >&2; exit 7")
        must(
            (len(said.stdout), len(said.stderr), said.status, said.truncated)
            == (1000, 1000, 7, True),
            "output past the limit is not cut there, or the program is not let to its end",
        )


def keeps_statuses(engine: Engine) -> None:
    """An exit status is the command's own, and what cannot be started has a reason."""
    with sandbox_on(engine) as sandbox:
        for status in (0, 1, 124, 126, 127, 137, 255):
            found = executed(sandbox, f"sh -c 'exit {status}'")
            must(found.status == status, f"a command that ends with {status} has {found.status}")
        found = executed(sandbox, "kill -TERM $$")
        must(found.status == 143, f"a command killed by SIGTERM has the status {found.status}")
        found = executed(sandbox, "./missing.sh")
        must(
            found.status is None and found.reason,
            f"a command that is not there has the status {found.status} and no reason",
        )


_TICKS = "(while :; do date +%s%N >tick; sleep 0.02; done) >/dev/null 2>&1 & sleep 0.2"
_STILL = 'before=$(cat tick); sleep 0.4; [ "$before" = "$(cat tick)" ]'


def ends_what_goes_on(engine: Engine) -> None:
    """What a command leaves in the background has ended when the command has."""
    with sandbox_on(engine) as sandbox:
        for words in (_TICKS, f"setsid sh -c '{_TICKS}'"):
            executed(sandbox, words)
            must(executed(sandbox, _STILL).status == 0, f"this goes on after its run: {words}")
        found = executed(sandbox, "sleep 1000 & echo done")
        must(found.stdout == b"done\n", "a command waits for what it left in the background")


def keeps_time(engine: Engine) -> None:
    """Past its limit a command is ended with its sandbox, and so is a test event past its own."""
    with sandbox_on(engine) as sandbox:
        sandbox.get_ready()
        found = sandbox.execute("echo before; while :; do :; done", 1.0)
        must(found.timed_out and found.status is None, "a command past its limit has not timed out")
        must(found.stdout == b"before\n", "what a command printed before its limit is lost")
        try:
            list(sandbox.pack())
        except StreamCut:
            pass
        else:
            raise Refuted("the sandbox of a command that timed out still answers")
    with sandbox_on(engine, Limits(event_seconds=5.0)) as sandbox:
        try:
            sandbox.execute("sleep 20", 1000.0)
        except EngineError:
            return
        raise Refuted("a test event of 5 seconds takes longer")


def keeps_the_environment(engine: Engine) -> None:
    """A run has the usual variables, and none of the harness's."""
    os.environ[_SECRET] = "secret"
    try:
        with sandbox_on(engine) as sandbox:
            said = executed(sandbox, "env").stdout.decode(errors="replace")
    finally:
        del os.environ[_SECRET]
    must(_SECRET not in said, "a run sees the variables of the harness")
    given = dict(line.partition("=")[::2] for line in said.splitlines())
    for name in DEFAULTS:
        must(given.get(name), f"a run has no {name}")


def takes_parts(engine: Engine) -> None:
    """Parts of a tree are told apart, brought back and deleted by name."""
    with sandbox_on(engine) as sandbox, scratch("conformance") as folder:
        executed(sandbox, "mkdir d; echo 1 >d/a; echo 1 >d/b; echo 2 >c")
        digests = sandbox.digest([b"d/a", b"d/b", b"c"])
        must(digests[b"d/a"] == digests[b"d/b"] != digests[b"c"], f"digests are {digests}")
        tarpipe.unpack(str(folder), sandbox.pick([b"d", b"d/a"]))
        found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        must(found == ["d", "d/a"], f"of d and d/a came {found}")
        sandbox.delete([b"d/a"])
        left = sandbox.observe().keys()
        must(left == {b".", b"c", b"d", b"d/b"}, f"after d/a was deleted, these are left: {left}")


def is_killed(engine: Engine) -> None:
    """A kill from another thread ends a command at once, and closing twice is closing once."""
    with sandbox_on(engine) as sandbox:
        sandbox.get_ready()
        timer = threading.Timer(0.5, sandbox.kill)
        timer.start()
        started = time.monotonic()
        try:
            sandbox.execute("sleep 1000", 1000.0)
        except StreamCut:
            pass
        else:
            raise Refuted("a command whose sandbox was killed has ended as if nothing had happened")
        finally:
            timer.cancel()
        must(time.monotonic() - started < CHECK_SECONDS * 2, "a kill waits for the command's limit")
        sandbox.close()


def is_listened_to(engine: Engine) -> None:
    """Nothing starts before its first use, as far as a wrapper sees, and its stream is one."""
    seen: list[Stream] = []

    def wrap(stream: Stream) -> Stream:
        seen.append(stream)
        return stream

    with sandbox_on(engine) as sandbox:
        sandbox.wrap(wrap)
        must(not seen, "a sandbox connects before it is used")
        sandbox.wait()
        executed(sandbox, "true")
    must(len(seen) == 1, f"a sandbox has {len(seen)} streams")


def is_shared(engine: Engine) -> None:
    """Two sandboxes at once are two, each with its own files."""
    with sandbox_on(engine) as one, sandbox_on(engine) as other:
        executed(one, "echo 1 >here")
        executed(other, "echo 2 >here")
        said = executed(one, "cat here").stdout + executed(other, "cat here").stdout
        must(said == b"1\n2\n", f"two sandboxes hold {said!r}")


def counts_usage(engine: Engine) -> None:
    """Processor time grows with what a command computes; memory is counted if it says so."""
    with sandbox_on(engine) as sandbox:
        before = sandbox.usage().processor_ns
        executed(sandbox, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
        after = sandbox.usage()
        must(
            before is not None and after.processor_ns is not None and after.processor_ns > before,
            f"processor time goes from {before} to {after.processor_ns}",
        )
        counted = after.memory is not None
        must(
            counted == engine.counts_memory,
            f"memory is {'' if counted else 'not '}counted, and it says otherwise",
        )


class _Broken(Exception):
    """Raised by the check in the middle of a test event."""


def tells_traces(engine: Engine) -> None:
    """What it started is told while it exists, and nothing stays, even after an error."""
    before = set(engine.traces())
    with sandbox_on(engine) as sandbox:
        sandbox.wait()
        must(set(engine.traces()) - before, "a sandbox that runs is no trace")

    def breaks() -> None:
        with sandbox_on(engine) as sandbox:
            executed(sandbox, "head -c 20000000 /dev/zero >big")
            next(sandbox.pack())
            raise _Broken

    with suppress(_Broken):
        breaks()
    gone = eventually(lambda: set(engine.traces()) <= before)
    must(gone, f"this stays: {', '.join(sorted(set(engine.traces()) - before))}")
