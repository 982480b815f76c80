"""Timed out: past the limit it is as if the attempt was never made: no tag, and the katas as they were. Only the visible
files, as the notes say, may be those that were copied in before the run. Nothing of it is running any more.

An example is a run that does not end, looked at from outside, and an ordinary test event after it: on Docker two seconds.
"""

from __future__ import annotations

from harness.katas.visible import VisibleFiles
from harness.proofs.outside import alive, eventually, marker
from harness.proofs.search import Search
from harness.proofs.state import changed, look
from harness.proofs.subject import Subject, complete
from harness.proofs.verdict import Refuted
from harness.runners.run import Outcome

SECONDS = 0.7
"""The limit of a run that does not end."""

WRITES = "echo 2 >made; rm -rf goes turns; mkdir turns late"
"""What each of them does to the sandbox before."""

ENDLESS = {
    "loops": "while :; do :; done",
    "prints": "while :; do echo x; done",
    "writes": "while :; do echo $((n += 1)) >>made; done",
    "leaves children": "sleep MARK & setsid sleep MARK & (setsid sh -c 'sleep MARK & wait' >/dev/null 2>&1 &); wait",
    "ignores signals": "trap '' HUP INT QUIT TERM USR1 USR2 PIPE; exec >/dev/null 2>&1; while :; do sleep MARK; done",
}
"""What a run that does not end does; MARK is a number of seconds to sleep."""


def prove(subject: Subject, search: Search) -> None:
    """Refuted by the first that is not ended, or leaves a trace."""
    with subject.runner(observe=False) as runner:
        avatar = subject.avatar()
        old = _files("echo 1 >made; echo 1 >goes; echo 1 >turns", "0")
        complete(runner, avatar, old)
        runner.prepare(avatar)  # what stands by for the next test event was not left behind
        settled = len(runner.engine.traces())

        def check(name: str) -> None:
            nonlocal old
            mark, before = marker(), look(runner.katas, avatar)
            sent = _files(f"{WRITES}; {ENDLESS[name].replace('MARK', mark)}", name)
            run = runner.run(avatar, sent, max_seconds=SECONDS)
            if run.outcome is not Outcome.TIMED_OUT or run.tag is not None:
                raise Refuted(f"past its limit it was {run.outcome}: {run.reason or 'no reason was given'}")
            if not eventually(lambda: not alive(mark)):
                raise Refuted("a process of it is still running")
            if not eventually(lambda: len(runner.engine.traces()) <= settled):
                raise Refuted(f"it left behind: {', '.join(runner.engine.traces())}")
            if difference := changed(before, look(runner.katas, avatar), old, sent):
                raise Refuted(f"it left a trace in the katas: {difference}")
            old = _files("cat edit", name)
            again = complete(runner, avatar, old)
            if again.tag != before.tag + 1 or again.stdout != name:
                raise Refuted(
                    f"the next test event got the tag {again.tag} after {before.tag}, and saw {again.stdout!r} for {name!r}"
                )

        search.listed("endless", ENDLESS, check, show=lambda name: f"a run that {name}")


def _files(script: str, edit: str) -> VisibleFiles:
    return VisibleFiles({"cyber-dojo.sh": f"#!/bin/sh\n{script}\n", "edit": edit})
