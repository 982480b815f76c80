"""An owner is known by its label, and taken for gone only when this machine can tell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines import owner
from harness.engines.owner import GONE, LIVES, Owner
from tests.children import STRANGER
from tests.support import eventually


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
    return replace(Owner.current(), process=process, started=owner.process_started(process) or 0)


def test_a_label_is_read_as_it_was_written() -> None:
    assert Owner.parse(str(Owner.current())) == Owner.current()


@pytest.mark.parametrize(
    "label",
    [
        *(
            "",
            "me",
            "a/b/c/d",
            "host/boot/12",
            "host/boot/12/34/56",
            "host/boot/-1/2",
            "host/boot/1.5/2",
        ),
        *(
            "host/boot/1-2/3/4/5",
            "host/boot/\u00b2/2",
            "host/boot/12/34\n",
            "a\nb/boot/12/34",
            f"host/boot/{'9' * 5000}/2",
        ),
    ],
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
    assert not replace(
        Owner.current(), host="another", boot="another", process=os.getpid()
    ).has_gone()


def test_a_process_that_ended_and_was_not_waited_for_has_gone(
    child: subprocess.Popen[bytes],
) -> None:
    """A program that starts harnesses, or the first process of a container, may never wait."""
    ended = of(child.pid)
    child.kill()
    eventually(lambda: ended.fate() == GONE, "it has ended")
    assert child.returncode is None


def test_a_process_whose_name_is_no_text_can_be_told(tmp_path: Path) -> None:
    """Programs name themselves as they like."""
    program = tmp_path / os.fsdecode(b"\xff) Z 1")
    program.symlink_to(str(shutil.which("sleep")))
    with subprocess.Popen([str(program), "1000"]) as process:
        assert of(process.pid).fate() == LIVES
        process.kill()


def test_earlier_versions_wrote_no_namespaces() -> None:
    """Such an owner has gone only if the machine was started anew since: before, its number may
    mean another process in another namespace.
    """
    old = replace(Owner.current(), namespaces="")
    assert str(old).count("/") == 3
    assert Owner.parse(str(old)) == old
    assert old.fate() == LIVES
    ended = replace(old, started=1)
    assert not ended.has_gone()
    assert ended.fate().doubt == "an earlier version of the harness made it"
    assert replace(old, process=4_000_000).fate().doubt
    assert replace(old, boot="an earlier one").has_gone()
    assert not replace(old, boot="another", host="another").has_gone()


TELL = """
import os, sys
from harness.engines.owner import Owner
if uid := int(sys.argv[1]):
    os.setgroups([]), os.setresgid(uid, uid, uid), os.setresuid(uid, uid, uid)
for label in sys.argv[2:]:
    fate = Owner.parse(label).fate()
    print(fate.gone, fate.doubt)
"""


@pytest.fixture
def told() -> Callable[..., list[str]]:
    """What a process says of owners that was started by these words."""

    def tell(words: Sequence[str], *owners: Owner, uid: int = 0) -> list[str]:
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
            pytest.skip(f"no {words[0]} like that here")
        command = [*words, sys.executable, "-c", TELL, str(uid), *map(str, owners)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    return tell


ELSEWHERE = "False it belongs to another pid namespace, such as a container's"
CANNOT_SEE = "False its process cannot be seen from here"


@pytest.mark.parametrize(
    "proc", [["--mount-proc"], []], ids=["its own /proc", "the /proc of others"]
)
def test_another_pid_namespace_cannot_tell(told: Callable[..., list[str]], proc: list[str]) -> None:
    """A container of the same name on the same machine: the number is another process's there, or
    nobody's.
    """
    ended = replace(Owner.current(), process=4_000_000)
    mistaken = replace(Owner.current(), process=1)
    words = ["unshare", "--pid", "--fork", *proc]
    assert told(words, Owner.current(), ended, mistaken) == [ELSEWHERE] * 3


def test_in_a_pid_namespace_with_the_proc_of_others_nobody_is_mistaken() -> None:
    """Each knows itself, and takes no process of the same number in /proc for another."""
    words = ["unshare", "--pid", "--fork"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no pid namespace to be had")
    ask = "from harness.engines.owner import Owner as O; o = O.current(); print(o, o.fate().gone, o.process)"
    done = subprocess.run(
        [*words, sys.executable, "-c", ask], capture_output=True, text=True, check=True
    )
    label, gone, process = done.stdout.split()
    assert (gone, process) == ("False", "1")
    found = Owner.parse(label)
    assert found is not None
    assert found.started > 1
    assert found.fate().doubt


def test_another_time_namespace_cannot_tell_when_a_process_was_started(
    told: Callable[..., list[str]], child: subprocess.Popen[bytes]
) -> None:
    """But that there is none it can."""
    words = ["unshare", "--time", "--boottime", "100000", "--fork"]
    doubt = "False it belongs to another time namespace"
    ended = replace(Owner.current(), process=4_000_000)
    assert told(words, of(child.pid), ended) == [doubt, "True "]


def test_where_proc_hides_the_processes_of_others_they_have_not_gone(
    told: Callable[..., list[str]],
) -> None:
    """Containers and volumes of one engine belong to several users."""
    if os.geteuid():
        pytest.skip("only root can mount /proc")
    hide = 'mount -t proc -o hidepid=invisible proc /proc && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", hide, "sh"]
    ended = replace(Owner.current(), process=4_000_000)
    assert told(words, Owner.current(), ended, uid=STRANGER) == [CANNOT_SEE, "True "]
