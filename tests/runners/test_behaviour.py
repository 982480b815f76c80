"""What a run may leave behind, for each runner on each engine; what users of the original rely on
is proved by `harness.verify.proofs.behaves`.
"""

from __future__ import annotations

import pytest

from harness import runners
from harness.inside.layout import Avatar
from harness.inside.tree import Snapshot
from harness.runners.base import BaseRunner
from harness.runners.run import Run
from harness.runners.tmp import Tmp
from tests.support import play, snapshot

keeping = pytest.mark.parametrize(
    "runner", [each.name for each in runners.BUILT_IN if each is not Tmp], indirect=True
)
"""The runners for which a sandbox goes on from one test event to the next."""


def seen(run: Run) -> tuple[Snapshot, Snapshot]:
    """The sandbox as the run found it, and as it left it."""
    assert run.observed is not None
    return run.observed.before, run.observed.after


ZOO = """
if [ -e zoo ]; then find . -newer zoo/late 2>/dev/null; exec du -k zoo/sparse; fi
mkdir zoo zoo/closed zoo/empty && cd zoo
echo secret >unreadable; echo inside >closed/file
ln -s nowhere dangling; ln -s ../zoo/closed link; ln -s / up
echo twice >one; ln one two
truncate -s 3M sparse; echo end >>sparse
mkfifo pipe
echo old >old; touch -d '1971-02-03 04:05:06.123456789' old
echo late >late; touch -d '2191-02-03 04:05:06.987654321' late
touch -h -d '2001-01-01 00:00:00.000000001' dangling
touch -d '2002-02-02 00:00:00.5' empty
chmod 4755 one; chmod 1777 empty; chmod 0 unreadable closed/file closed
"""


@keeping
def test_whatever_a_run_leaves_is_there_next_time_as_it_was(
    runner: BaseRunner, avatar: Avatar
) -> None:
    """What nobody may read, links of both kinds, holes, pipes; stamps to the nanosecond, old ones
    and future ones, however often it travels. And an edit is still seen.
    """
    first = play(runner, avatar, ZOO, edited="1")
    left, kept = seen(first)[1], snapshot(runner.katas, avatar)
    assert left[b"zoo/unreadable"].mode == left[b"zoo/closed"].mode == 0
    assert left[b"zoo/old"].mtime_ns % 10**9 == 123456789
    for _ in range(2):
        again = play(runner, avatar, ZOO, edited="1")
        assert seen(again) == (left, left)
        assert snapshot(runner.katas, avatar) == kept
    assert kept[b"zoo/two"].link == b"zoo/one"
    after, hole = play(runner, avatar, ZOO, edited="2").stdout.splitlines()
    assert after == "./edited", "it is later than all that it found"
    assert int(hole.split()[0]) < 1000, "the hole is still one"


@pytest.mark.parametrize("mode", ["0000", "0111", "0200", "0400"])
def test_a_run_that_shuts_itself_out(runner: BaseRunner, avatar: Avatar, mode: str) -> None:
    """Of its visible files, their folders or the sandbox itself: the next test event is an ordinary
    one, edit or no edit.
    """
    shuts = f"cat a/b c; [ -e once ] || {{ echo 1 >once; chmod {mode} a/b c cyber-dojo.sh a .; }}"
    for number in ("1", "1", "2"):
        run = play(runner, avatar, shuts, c=number, **{"a/b": number})
        assert (run.status, run.stdout) == (0, number * 2)
