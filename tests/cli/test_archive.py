"""An archive is there whole or not at all."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.archive import write_archive
from harness.inside.errors import KatasError, UsageError

Write = Callable[[bytes], object]


def content(write: Write) -> int:
    write(b"some")
    return 4


def test_it_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """Until then nothing has it."""
    out = tmp_path / "k.tgz"

    def pack(write: Write) -> int:
        assert not out.exists()
        return content(write)

    write_archive(out, "", pack)
    assert gzip.decompress(out.read_bytes()) == b"some"
    assert os.listdir(tmp_path) == ["k.tgz"]


@pytest.mark.parametrize("error", [KatasError("x"), KeyboardInterrupt(), OSError("x")])
def test_nothing_half_written_stays(error: BaseException, tmp_path: Path) -> None:
    """After ctrl-C too."""

    def pack(write: Write) -> int:
        content(write)
        raise error

    with pytest.raises(type(error)):
        write_archive(tmp_path / "k.tgz", "", pack)
    assert os.listdir(tmp_path) == []


def test_no_other_file_is_replaced(tmp_path: Path) -> None:
    """Nor one that came meanwhile, nor a link that leads nowhere."""
    out = tmp_path / "k.tgz"

    def pack(write: Write) -> int:
        out.write_text("another's")
        return content(write)

    with pytest.raises(UsageError, match="already exists"):
        write_archive(out, "", pack)
    assert out.read_text() == "another's"
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UsageError, match="already exists"):
        write_archive(tmp_path / "link", "", content)
    assert sorted(os.listdir(tmp_path)) == ["k.tgz", "link"]


def test_to_stdout_goes_what_is_whole_alone(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A reader is not given half of it."""

    def pack(write: Write) -> int:
        write(os.urandom(1 << 20))
        raise KatasError("x")

    with pytest.raises(KatasError):
        write_archive(Path("-"), "", pack)
    assert capfdbinary.readouterr().out == b""
