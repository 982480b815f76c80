"""What an engine says that it can is so, on each engine."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines import Engine, SandboxSpec
from harness.engines.spec import HostFolder, Mount, Overlay, PartOfVolume, WholeVolume
from harness.inside.errors import EngineError, StreamCut
from tests.support import PATIENCE, eventually, fill, one_line, script


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


class Hologram(Mount):
    """A kind of mount that no engine has heard of."""


def test_a_mount_of_an_unknown_kind_is_refused(shared_engine: Engine) -> None:
    """By its kind, and in one line when it is asked for all the same."""
    assert Hologram not in shared_engine.mounts
    refused = shared_engine.refusal(Hologram)
    assert "Hologram" in refused
    with (
        pytest.raises(EngineError) as error,
        closing(shared_engine.open(SandboxSpec(mount=Hologram()))) as sandbox,
    ):
        sandbox.wait()
    assert one_line(error.value) == refused


def test_the_harness_s_own_engines_make_every_kind_of_mount(shared_engine: Engine) -> None:
    """If not here, they say why in one line."""
    assert shared_engine.mounts == {HostFolder, WholeVolume, PartOfVolume, Overlay}
    for kind in shared_engine.mounts:
        if refused := shared_engine.refusal(kind):
            one_line(EngineError(refused))


def test_files_of_a_mounted_folder_are_the_run_s_and_of_a_volume_the_player_s() -> None:
    spec = SandboxSpec(uid=7, gid=8)
    assert spec.owner((1, 2)) is None
    assert replace(spec, mount=HostFolder(Path("/"))).owner((1, 2)) == (7, 8)
    assert replace(spec, mount=PartOfVolume("v", "f")).owner((1, 2)) == (1, 2)
    assert replace(spec, mount=PartOfVolume("v", "f")).owner(None) is None
