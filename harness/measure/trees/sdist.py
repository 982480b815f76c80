"""Fetching a Python source distribution (sdist), with nothing of it run.

An sdist is fetched by `pip download`, so that index, certificate, proxy, credentials and cache are those that
the user's pip is configured for. Two things make that safe. `--require-hashes`: pip verifies the SHA-256
before it does anything with the sdist. And since pip prepares the metadata of every sdist it downloads, which
would run the package's `setup.py`, the build is not isolated and finds, in place of setuptools, a stand-in
(`_BACKEND`) that only states name and version. All of it is documented (pip's options, PEP 517), unlike pip's
internals, and a reader of the index of our own would have to repeat pip's configuration. The price: the sdist
must be one for setuptools, and must not bring a build backend of its own.
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

# -P: whatever lies in the current folder is not imported.
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
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return info.name
"""
"""Stands in for `setuptools.build_meta` (PEP 517); pip takes `__legacy__` if there is no pyproject.toml."""


@dataclass(frozen=True)
class Sdist:
    """Where the sources come from."""

    distribution: str
    version: str
    sha256: str
    folder: str  # below the sdist's top folder


def pip_download(source: Sdist, folder: Path) -> Path:
    """The sdist, downloaded into `folder`, nothing of it run; raises TreeError with pip's reason."""
    target, requirements, stand_in = (
        folder / "sdist",
        folder / "requirements.txt",
        folder / "stand-in",
    )
    package = stand_in / "setuptools"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").touch()  # without it, an installed setuptools would come first
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
    """The sdist in `cache`; `download` brings it to a given folder unless it is there, and whole.

    Raises TreeError if it cannot be had or kept, or is not the one whose SHA-256 the recipe has.
    """
    title = f"{source.distribution} {source.version}"
    kept = cache / f"{source.distribution}-{source.version}-{source.sha256[:16]}.sdist"
    try:
        if kept.exists():
            if _sha256(kept) == source.sha256:
                return kept
            report(f"{kept} is torn or a wrong file")
        report(f"fetching {title}")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=cache
        ) as folder:  # in the cache, so that the rename is atomic
            fetched = download(source, Path(folder))
            if (found := _sha256(fetched)) != source.sha256:
                raise TreeError(
                    f"{title} has the SHA-256 {found}, but the recipe wants {source.sha256}"
                )
            fetched.replace(kept)
    except OSError as error:
        raise TreeError(f"cannot keep {title} in the cache {cache}: {error}") from error
    return kept


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_ADVERTISES = ("[notice]", "note:", "hint:", "WARNING:")
"""What lines of pip begin with that say nothing of what went wrong."""

_OUTPUT = re.compile(
    r"╰─> (?:\[\d+ lines? of output\]|No available output\.)\n(.*?)(?=\n\s*\[end of output\]|\Z)",
    re.DOTALL,
)
"""What a build backend printed, as pip passes it on."""

_RAISED = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]*(?:Error|Exception|NotFound|Failure|Exit)\b:? ?"
)
"""How the last line of a traceback begins."""

_VERSIONS = re.compile(r" \(from versions: [^)]*\)")


def reason(log: str) -> str:
    """Why pip failed, in one line of its own or of the build backend's; its errors do not tell an index out of reach from a
    missing version.
    """
    if broken := re.search(r"connection broken by '(.*)': ", log):
        return (
            f"no answer from the package index, see the network and `pip config list` ({broken[1]})"
        )
    if printed := _OUTPUT.search(log):
        lines = [line for each in printed[1].splitlines() if (line := each.strip())]
        raised = [each for each in lines if _RAISED.match(each)]
        broken_build = [each for each in lines if re.search(r"\berror: ", each, re.IGNORECASE)]
        if found := raised[-1:] or broken_build[:1] or lines[-1:]:
            return found[0]
    lines = [
        line
        for each in log.splitlines()
        if (line := each.strip()) and not line.startswith(_ADVERTISES)
    ]
    errors = [each for each in lines if each.startswith(("ERROR: ", "error: "))]
    return next(
        iter(_VERSIONS.sub("", each) for each in errors or lines[-1:]), "it does not say why"
    )
