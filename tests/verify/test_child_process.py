"""A process that plays for a proof: it has what this one imports from, or ends at once."""

from __future__ import annotations

import pickle
import subprocess
import sys

from harness.verify.child_process import command


def test_it_calls_the_main_of_a_module_of_this_process_s() -> None:
    """Which it could not find by itself."""
    sent = pickle.dumps(sys.path)
    done = subprocess.run(
        command("harness.verify.workers"), input=sent, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert pickle.loads(done.stdout) is None  # ready


def test_one_that_is_sent_nothing_ends_without_a_word() -> None:
    """Whoever started it was interrupted in between."""
    done = subprocess.run(
        command("harness.verify.workers"), input=b"", capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
