"""What an engine says that it can is so, on each engine."""

from __future__ import annotations

from contextlib import closing

import pytest
from support import PATIENCE, eventually, fill, script

from harness.engines import Engine, SandboxSpec
from harness.inside.errors import StreamCut


def test_memory_is_counted_where_it_is_said_to_be(shared_engine: Engine) -> None:
    """And where it is not, a gap says why."""
    with closing(shared_engine.open(SandboxSpec())) as sandbox:
        fill(sandbox, script("head -c 20000000 /dev/zero >/tmp/zeros"))
        assert sandbox.execute("./cyber-dojo.sh", PATIENCE).status == 0
        assert (sandbox.usage().memory is not None) == shared_engine.counts_memory
    assert shared_engine.counts_memory or shared_engine.gaps


def test_an_engine_that_makes_images_runs_in_one(shared_engine: Engine) -> None:
    """The other ones say that they have none."""
    named = shared_engine.check_image(None)
    assert named.startswith("none") != shared_engine.makes_images


@pytest.mark.parametrize("how", ["stop", "remove"])
def test_what_others_can_end_is_ended(shared_engine: Engine, how: str) -> None:
    """The harness hears of it, and nothing stays."""
    if not shared_engine.removable:
        pytest.skip("processes cannot be stopped or removed by their engine")
    before = set(shared_engine.traces())
    streams: list[object] = []
    with closing(shared_engine.open(SandboxSpec())) as sandbox:
        sandbox.wrap(lambda stream: streams.append(stream) or stream)
        sandbox.get_ready()
        getattr(streams[0], how)()
        with pytest.raises(StreamCut):
            sandbox.execute("true", PATIENCE)
    eventually(lambda: set(shared_engine.traces()) <= before, "the container has gone")
