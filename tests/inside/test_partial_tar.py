"""Some entries of a sandbox as a tar stream: those that were asked for, from this sandbox and
nowhere else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from harness.inside import partial_tar, tarpipe
from harness.inside.disk import permit_all
from harness.inside.errors import StreamCut
from harness.inside.tree import snapshot
from harness.verify.testing.planting import Planned, planted, scratch_folder
from harness.verify.testing.strategies import trees
from tests.support import on_disk, one_line


def pick(sandbox: str | Path, *paths: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    assert partial_tar.pick(str(sandbox), paths, pieces.append) == sum(map(len, pieces))
    return pieces


@on_disk
@given(trees())
def test_tar_makes_of_it_what_was_picked(tree: dict[bytes, Planned]) -> None:
    """Any name, content, mode and stamp, to the nanosecond, of files, folders and symlinks."""
    with planted(tree) as sandbox, scratch_folder() as folder:
        permit_all(sandbox)
        before = snapshot(sandbox, contents=True)
        paths = [path for path, entry in before.items() if entry.kind in "dlf"]
        tarpipe.unpack(folder, pick(sandbox, *paths))
        found = snapshot(folder, contents=True)
        assert {path: replace(found[path], link=b"") for path in paths} == {
            path: replace(before[path], link=b"") for path in paths
        }


def test_a_large_file_comes_in_pieces(tmp_path: Path) -> None:
    """Whose size has a bound."""
    (tmp_path / "large").write_bytes(bytes(5 * tarpipe.CHUNK + 1))
    assert max(map(len, pick(tmp_path, b"large"))) < 3 * tarpipe.CHUNK


def test_no_symlink_is_followed(tmp_path: Path) -> None:
    """Not in the place of a folder on the way either."""
    sandbox, outside = tmp_path / "sandbox", tmp_path / "outside"
    sandbox.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (sandbox / "folder").symlink_to(outside)
    with pytest.raises(StreamCut) as raised:
        pick(sandbox, b"folder/secret")
    assert one_line(raised.value) == "'folder/secret' has gone"
