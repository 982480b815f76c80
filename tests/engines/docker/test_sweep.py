"""The end of a run's processes on Docker: the guest's own shell finds whatever is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from harness.engines.docker.engine import SWEPT

LEADERLESS = """
import ctypes, os, platform, threading, time
os.setuid(65534)
threading.Thread(target=time.sleep, args=(60,)).start()
number = {"x86_64": 60, "aarch64": 93}[platform.machine()]
ctypes.CDLL(None).syscall(number, 0)
"""
"""A process whose first thread ends, and whose second goes on: /proc shows it as a zombie."""

SWEEP = """
"$1" -c "$2" & child=$!
while ! grep -q '^State:.Z' /proc/$child/status; do sleep 0.01; done
eval "$3"; echo "$?"
while grep -q '^Threads:.[^01]' /proc/$child/status; do sleep 0.01; done
eval "$3"; echo "$?"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare, of util-linux, is not there")
def test_a_process_whose_first_thread_has_ended_is_found_and_killed() -> None:
    """`State` says zombie, and `Threads` that others run; what ended for good is passed by."""
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]
    done = subprocess.run(
        [*alone, "sh", "-c", SWEEP, "sh", sys.executable, LEADERLESS, SWEPT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["1", "0"], done
