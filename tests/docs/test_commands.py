"""Every command that the documentation shows does what it shows, in a folder of its own, one page
after the other.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

DOCS = ROOT / "docs"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block of commands; what cannot be run everywhere stands in a block of another kind, and says
why.
"""

FAILS = "  # exit status "
"""Behind a command that is shown to fail."""


def pages() -> dict[str, list[str]]:
    """The commands of each page that has some."""
    found = {}
    for path in sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md"]):
        lines = [line for block in CONSOLE.findall(path.read_text()) for line in block.splitlines()]
        if commands := [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]:
            found[str(path.relative_to(DOCS.parent))] = commands
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", pages())
def test_the_commands_of_a_page(page: str, tmp_path: Path) -> None:
    """Each ends with the status that the page shows, 0 unless it says otherwise."""
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "HARNESS_HOME": str(tmp_path / "home"),
    }
    folder = tmp_path / "here"
    folder.mkdir()
    for command in pages()[page]:
        line, _, status = command.partition(FAILS)
        done = subprocess.run(
            line,
            shell=True,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == int(status or 0), f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
