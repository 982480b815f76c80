"""Why pip failed is told by its own sentence, or the build backend's: never by its last line, which
may be an advertisement.
"""

from __future__ import annotations

import pytest

from harness.measure.trees.sdist import reason

NOTICE = "\n[notice] A new release of pip is available: 23.2.1 -> 26.1\n[notice] To update, run: pip install --upgrade pip\n"

BACKEND = """  error: subprocess-exited-with-error

  x Getting requirements to build wheel did not run successfully.
  │ exit code: 1
  ╰─> [4 lines of output]
{output}
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: subprocess-exited-with-error
"""


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (
            'ERROR: Exception:\nTraceback (most recent call last):\n  File "/x/pip/_internal/cli/base_command.py", line 106, in _run_wrapper\n'
            "    status = _inner_run()\npip._vendor.tomli.TOMLDecodeError: Expected ']' at the end of a table declaration (at line 1, column 9)\n",
            "pip._vendor.tomli.TOMLDecodeError: Expected ']' at the end of a table declaration (at line 1, column 9)",
        ),
        (
            BACKEND.format(
                output="      ERROR: Could not find a version that satisfies the requirement nope (from versions: none)\n"
                "      ERROR: No matching distribution found for nope"
            ),
            "ERROR: Could not find a version that satisfies the requirement nope",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement click>=9999 (from one) "
            "(from versions: 0.1, 0.2, 8.1)\nERROR: No matching distribution found for click>=9999\n",
            "ERROR: Could not find a version that satisfies the requirement click>=9999 (from one)",
        ),
        (
            "WARNING: Ignoring version 1\nERROR: Cannot install a and b because these package versions have conflicting "
            "dependencies.\nERROR: ResolutionImpossible: for help visit https://pip.example.org\n",
            "ERROR: Cannot install a and b because these package versions have conflicting dependencies.",
        ),
        (
            BACKEND.format(
                output="      Traceback (most recent call last):\n        File x\n"
                "      LookupError: setuptools-scm was unable to detect version for /x.\n\n"
                "      Make sure you're either building from a fully intact git repository or PyPI tarballs."
            ),
            "LookupError: setuptools-scm was unable to detect version for /x.",
        ),
        (
            BACKEND.format(output="      building 'x' extension\n      x.c:1:10: fatal error: y.h: No such file\n"
                           "      error: command 'gcc' failed with exit code 1"),
            "x.c:1:10: fatal error: y.h: No such file",
        ),
        (BACKEND.format(output="      something odd"), "something odd"),
        ("/usr/bin/python3: No module named pip\n", "/usr/bin/python3: No module named pip"),
        ("", "it does not say why"),
        ("WARNING: Retrying after connection broken by 'X(1)': /simple/\nERROR: No matching\n",
         "no answer from the package index, see the network and `pip config list` (X(1))"),
    ],
)  # fmt: skip
def test_the_reason(log: str, told: str) -> None:
    """Whatever pip says behind it."""
    assert reason(log) == told
    if log:
        assert reason(log + NOTICE) == told
