"""Test events in layers that the kernel really mounts, and what a run does to them is what a shell
does there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import gettempdir

import pytest

from harness.engines.local.mounts import overlay, overlay_problem
from harness.engines.overlays import overlay_options
from harness.engines.spec import Overlay
from harness.inside.layered_event import LayeredEvent
from harness.inside.tree import Entry
from tests.events import acceptance, save

needs_overlays = pytest.mark.skipif(
    bool(overlay_problem(Path(gettempdir()))), reason="no overlay can be mounted here"
)


def press(
    folder: Path, files: Mapping[str, str], script: str = "", *, keep: bool = True, **how: int
) -> str:
    """A test event of the avatar in this folder; returns what the script said."""
    with closing(LayeredEvent(folder, **how)) as event:
        stack = event.stack(None)
        comparison = save(event, files)
        said = in_the_mount(folder, Overlay("", stack.lower, stack.upper, stack.work), script)
        if keep:
            event.accept(acceptance(files, comparison))
    return said


def in_the_mount(folder: Path, mount: Overlay, script: str) -> str:
    """What a script says that runs in an overlay of layers in this folder."""
    merged = folder / "merged"
    merged.mkdir(exist_ok=True)
    words = overlay(overlay_options(str(folder), mount), merged)
    done = subprocess.run(
        [*words, "sh", "-euc", f"cd '{merged}'\n{script}"],
        capture_output=True,
        text=True,
        check=False,
    )
    merged.rmdir()
    assert not done.returncode, done.stderr
    return done.stdout


@contextmanager
def mounted(folder: Path, mount: Overlay) -> Iterator[None]:
    """As long as the block lasts something has this overlay mounted."""
    merged = folder / "other"
    merged.mkdir()
    words = overlay(overlay_options(str(folder), mount), merged)
    with subprocess.Popen(
        [*words, "sh", "-c", "echo; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as held:
        assert held.stdin
        assert held.stdout
        assert held.stdout.readline()
        yield
        held.stdin.close()


def tree(folder: Path) -> dict[bytes, Entry]:
    with closing(LayeredEvent(folder)) as event:
        return event.snapshot(contents=True)
