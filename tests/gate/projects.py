"""A project that pip installs without an index: it brings what builds it."""

from __future__ import annotations

from pathlib import Path

_BACKEND = '''
"""Builds a wheel of the folder `harness`; its version is that of the tag v..., if there is one."""
import subprocess
import zipfile
from pathlib import Path

def version():
    told = subprocess.run(["git", "describe", "--tags", "--match=v*"], capture_output=True, text=True)
    return told.stdout.strip().removeprefix("v").replace("-", "+", 1).replace("-", ".") or "0.0.1"

def build_wheel(folder, config_settings=None, metadata_directory=None):
    if Path("broken").exists():
        raise RuntimeError("this commit cannot be built")
    told = version()
    info, name = f"tarpipe_harness-{told}.dist-info", f"tarpipe_harness-{told}-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        for path in Path("harness").iterdir():
            wheel.write(path)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: tarpipe-harness\\nVersion: {told}\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: none\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
'''

_PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tarpipe-harness"
dynamic = ["version"]
"""


def write_project(folder: Path) -> None:
    """Write the project around the folder `harness`."""
    (folder / "backend.py").write_text(_BACKEND)
    (folder / "pyproject.toml").write_text(_PROJECT)
