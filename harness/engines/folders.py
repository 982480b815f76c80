"""The folders of the local engine, and of whatever else needs one that `harness clean` finds after a crash."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from harness.engines.owner import LABEL, Owner
from harness.errors import EngineError


def state_home() -> Path:
    """Where katas and volumes are kept between sessions; HARNESS_HOME names another place."""
    return Path(os.environ.get("HARNESS_HOME") or platformdirs.user_state_path("harness"))


def sandboxes_home() -> Path:
    """Where this user's sandboxes are made. Not below a home folder, which a run under another uid may not
    enter.
    """
    return Path(tempfile.gettempdir()) / f"harness-{os.geteuid()}"


def temporary_folder(kind: str) -> Path:
    """A fresh folder of this process's, where `harness clean` finds it should the process not come to remove it."""
    base = sandboxes_home()
    try:
        base.mkdir(exist_ok=True, parents=True)
        if base.lstat().st_uid != os.geteuid():
            raise EngineError(f"{base} is somebody else's; set TMPDIR to a folder of your own")
        folder = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=base))
        for each in (base, folder):
            each.chmod(0o711)  # whatever this process's umask: a player enters, though not to look around
        (folder / LABEL).write_text(str(Owner.current()))
    except OSError as error:
        raise EngineError(
            f"no {kind} folder can be made in {base}: {error.strerror}; set TMPDIR to one with room"
        ) from error
    return folder


@contextlib.contextmanager
def sweeping() -> Iterator[None]:
    """One sweep of this user's at a time: two would take the same folders apart, to each other's surprise."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # there are no sandboxes, or somebody else's
            base = os.open(sandboxes_home(), os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, base)
            fcntl.flock(base, fcntl.LOCK_EX)
        yield


def labelled(base: Path, kind: str = "") -> list[Path]:
    """The folders in `base` that have an owner; only temporary ones of this kind, if one is given."""
    return sorted(each.parent for each in base.glob(f"{kind and f'{kind}-'}*/{LABEL}"))


def owner_of(folder: Path) -> str:
    """What the label of a folder says; nothing where its owner has just removed it."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / LABEL).read_text()
    return ""
