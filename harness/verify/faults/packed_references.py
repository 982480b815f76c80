"""Packs the references of a history, as git may do at any time, wherever the history is kept."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import zipfile
from contextlib import closing, suppress

from harness.engines import Engine
from harness.inside.layout import HISTORY, Avatar, avatar_folder
from harness.inside.store import Katas

NONE, TAGS, ALL = "none", "tags", "all"

_SECONDS = 60.0
"""Seconds that packing may take, the start of a container included."""

_DONE = b"packed"

_PACK = """
import os, sys, time
folder, below = sys.argv[1], "refs/tags" if sys.argv[2] == "tags" else "refs"
refs = {}
packed = os.path.join(folder, "packed-refs")
for _ in range(1000):
    try:
        out = open(packed + ".lock", "x")
        break
    except FileExistsError:
        time.sleep(0.01)
else:
    sys.exit("packed-refs stays locked")
if os.path.exists(packed):
    for line in open(packed):
        if line.strip() and line[0] not in "#^":
            sha, name = line.split()
            refs[name] = sha
loose = {}
for root, _, names in os.walk(os.path.join(folder, below)):
    for name in names:
        path = os.path.join(root, name)
        if name.endswith(".lock"):
            continue
        try:
            loose[path] = open(path).read()
        except FileNotFoundError:
            continue
        refs[os.path.relpath(path, folder)] = loose[path].strip()
with out:
    out.write("# pack-refs with: peeled fully-peeled sorted \\n")
    for name in sorted(refs):
        out.write(refs[name] + " " + name + "\\n")
os.chmod(packed + ".lock", 0o644)
os.rename(packed + ".lock", packed)
for path, content in loose.items():
    try:
        if open(path).read() == content:
            os.unlink(path)
    except FileNotFoundError:
        pass
"""
"""Does what `git pack-refs` does, with git's lock, where there is Python but no git."""


def pack_references(engine: Engine, katas: Katas, avatar: Avatar, which: str) -> bool:
    """Pack references of an avatar's history; return False if they cannot be reached from here."""
    folder = f"{avatar_folder(avatar)}/{HISTORY}"
    if volume := katas.container(avatar):
        return _beside_the_keepers(engine, volume, folder, which)
    path = os.path.join(katas.place(), folder)
    if not katas.place() or not os.path.isdir(path):
        return False
    subprocess.run([sys.executable, "-c", _PACK, path, which], check=True, capture_output=True)
    return True


def _beside_the_keepers(engine: Engine, volume: str, folder: str, which: str) -> bool:
    """Pack in a volume, by a program in the place of a keeper's."""
    said = b""
    deadline = time.monotonic() + _SECONDS
    with closing(engine.open_keeper(volume, _program(folder, which))) as stream:
        stream.close_write()
        with suppress(TimeoutError):
            while (piece := stream.read(deadline)) != (0, b""):
                said += piece[1]
    return said == _DONE


def _program(folder: str, which: str) -> bytes:
    """Return the zipapp; its argument is the folder of the volume, and `folder` is below that."""
    words = f"sys.argv[1:] = [os.path.join(sys.argv[1], {folder!r}), {which!r}]"
    leave = "os.path.isdir(sys.argv[1]) or sys.exit('there is no such history')"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        source = f"import os, sys\n{words}\n{leave}\n{_PACK}\nprint({_DONE.decode()!r}, end='')\n"
        archive.writestr("__main__.py", source)
    return data.getvalue()
