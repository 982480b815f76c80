"""Fetches a Python source distribution (sdist) without running any of its code.

`pip download` fetches it, so that index, certificate, proxy, credentials and cache are those of the
user's pip. A reader of the index of our own would have to repeat pip's configuration.

Two things make that safe. `--require-hashes` lets pip verify the SHA-256 before it does anything
with the sdist. And pip prepares the metadata of every sdist that it downloads, which would run the
package's `setup.py`; so the build is not isolated, and finds a stand-in for setuptools (`_BACKEND`)
that only states name and version. All of this is documented (pip's options, PEP 517). The price:
the sdist must use setuptools, and must not bring a build backend of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.inside.errors import TreeError

# -P: import nothing from the current folder.
_PIP = (
    *("-P", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--no-binary=:all:"),
    *("--require-hashes", "--use-pep517", "--no-build-isolation"),
)
_BACKEND = """\
import pathlib, sys

__legacy__ = sys.modules[__name__]

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "{name}-{version}.dist-info")
    info.mkdir()
    metadata = "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
    info.joinpath("METADATA").write_text(metadata)
    return info.name
"""
"""Replaces `setuptools.build_meta` (PEP 517); without pyproject.toml pip takes `__legacy__`."""


@dataclass(frozen=True)
class Sdist:
    """Where the sources come from."""

    distribution: str
    """The name on the package index."""
    version: str
    """The exact version."""
    sha256: str
    """The digest of the sdist, in lower case."""
    folder: str
    """The folder of the sources below the sdist's top folder."""


def pip_download(source: Sdist, folder: Path) -> Path:
    """Download the sdist into `folder`, running none of it. Raises TreeError with pip's reason."""
    target, requirements, stand_in = (
        folder / "sdist",
        folder / "requirements.txt",
        folder / "stand-in",
    )
    package = stand_in / "setuptools"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").touch()  # else an installed setuptools would win
    package.joinpath("build_meta.py").write_text(
        _BACKEND.format(name=source.distribution.replace("-", "_"), version=source.version)
    )
    requirements.write_text(
        f"{source.distribution}=={source.version} --hash=sha256:{source.sha256}\n"
    )
    pip = subprocess.run(
        [sys.executable, *_PIP, f"--dest={target}", f"--requirement={requirements}"],
        env=os.environ | {"PYTHONPATH": str(stand_in.resolve())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if pip.returncode:
        raise TreeError(
            f"pip cannot fetch {source.distribution} {source.version}: {reason(pip.stderr)}"
        )
    return next(target.iterdir())


def fetch(
    source: Sdist,
    cache: Path,
    report: Callable[[str], None],
    download: Callable[[Sdist, Path], Path] = pip_download,
) -> Path:
    """Return the sdist in `cache`, fetched with `download` unless it is already there, undamaged.

    Raises TreeError if it cannot be fetched or kept, or has another SHA-256 than the recipe.
    """
    title = f"{source.distribution} {source.version}"
    kept = cache / f"{source.distribution}-{source.version}-{source.sha256[:16]}.sdist"
    try:
        if kept.exists():
            if _sha256(kept) == source.sha256:
                return kept
            report(f"{kept} is damaged; it will be fetched again")
        report(f"fetching {title}")
        cache.mkdir(parents=True, exist_ok=True)
        # In the cache, so that the rename is atomic.
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            fetched = download(source, Path(folder))
            if (digest := _sha256(fetched)) != source.sha256:
                raise TreeError(
                    f"{title} has the SHA-256 {digest}, but the recipe wants {source.sha256}"
                )
            fetched.replace(kept)
    except OSError as error:
        raise TreeError(f"cannot keep {title} in the cache {cache}: {error}") from error
    return kept


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_ADVERTISES = ("[notice]", "note:", "hint:", "WARNING:")
"""How lines of pip begin that do not say what went wrong."""

_CRASHED = "ERROR: Exception:"
"""What pip prints if an error is not one that it knows, as of a pyproject.toml that is no TOML."""

_OUTPUT = re.compile(
    r"╰─> (?:\[\d+ lines? of output\]|No available output\.)\n"
    r"(.*?)(?=\n\s*\[end of output\]|\Z)",
    re.DOTALL,
)
"""The output of a build backend, as pip passes it on."""

_RAISED = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]*(?:Error|Exception|NotFound|Failure|Exit)\b:? ?"
)
"""How the last line of a traceback begins."""

_VERSIONS = re.compile(r" \(from versions: [^)]*\)")


def reason(log: str) -> str:
    """Say in one line why pip failed, in its words or in those of the build backend.

    pip's errors alone do not distinguish an unreachable index from a missing version.
    """
    if broken := re.search(r"connection broken by '(.*)': ", log):
        return (
            f"no answer from the package index, see the network and `pip config list` ({broken[1]})"
        )
    if printed := _OUTPUT.search(log):
        lines = [line for raw in printed[1].splitlines() if (line := raw.strip())]
        raised = [line for line in lines if _RAISED.match(line)]
        broken_build = [line for line in lines if re.search(r"\berror: ", line, re.IGNORECASE)]
        if telling := raised[-1:] or broken_build[:1] or lines[-1:]:
            return _VERSIONS.sub("", telling[0])
    lines = [
        line
        for raw in log.splitlines()
        if (line := raw.strip()) and not line.startswith(_ADVERTISES)
    ]
    if _CRASHED in lines:  # a traceback follows, whose last line says why
        return lines[-1]
    errors = [line for line in lines if line.startswith(("ERROR: ", "error: "))]
    return next(
        iter(_VERSIONS.sub("", line) for line in errors or lines[-1:]), "it does not say why"
    )
