"""An owner is known by its label, and taken for gone only when this machine can tell."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines import owner
from harness.engines.owner import Owner


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose name tries to be taken for the fields that follow it in /proc/PID/stat."""
    program = tmp_path / "x) Z 1 (y"
    program.symlink_to(str(shutil.which("sleep")))
    process = subprocess.Popen([str(program), "1000"])
    yield process
    process.kill()
    process.wait()


def of(process: int) -> Owner:
    """The owner that this process would be."""
    return replace(Owner.current(), process=process, started=owner._started(process) or 0)


def test_a_label_is_read_as_it_was_written() -> None:
    assert Owner.parse(str(Owner.current())) == Owner.current()


@pytest.mark.parametrize(
    "label", ["", "me", "a/b/c/d", "host/boot/12", "host/boot/12/34/56", "host/boot/-1/2", "host/boot/1.5/2"]
)
def test_a_label_that_somebody_else_wrote_has_no_owner(label: str) -> None:
    assert Owner.parse(label) is None


def test_a_process_that_lives_has_not_gone(child: subprocess.Popen[bytes]) -> None:
    """Whatever its name, and whoever it belongs to."""
    assert not Owner.current().has_gone()
    assert not of(child.pid).has_gone()
    assert not of(1).has_gone()


def test_a_process_that_ended_has_gone(child: subprocess.Popen[bytes]) -> None:
    ended = of(child.pid)
    child.kill()
    child.wait()
    assert ended.has_gone()


def test_another_process_of_the_same_number_is_not_the_owner() -> None:
    assert replace(Owner.current(), started=Owner.current().started - 1).has_gone()


def test_a_process_of_an_earlier_boot_has_gone() -> None:
    assert replace(Owner.current(), boot="an earlier one").has_gone()


def test_a_process_of_another_machine_has_never_gone() -> None:
    """A shared engine holds what belongs to others, whose processes cannot be seen from here."""
    assert not replace(Owner.current(), host="another", boot="another", process=os.getpid()).has_gone()
