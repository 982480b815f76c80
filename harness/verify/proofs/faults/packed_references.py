"""Packs the references of a history, as git may do at any time, wherever the history is kept."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import Any

import docker.errors

from harness.engines import Engine
from harness.engines.docker.engine import DockerEngine
from harness.engines.docker.images import KEEPER_IMAGE
from harness.engines.docker.images.facts import VOLUME
from harness.engines.local.engine import LocalEngine
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import HISTORY, Avatar, avatar_folder

NONE, TAGS, ALL = "none", "tags", "all"

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


def pack_references(engine: Engine, katas: Any, avatar: Avatar, which: str) -> bool:
    """Pack references of an avatar's history; return False if they cannot be reached from here."""
    engine = getattr(engine, "unwrapped", engine)
    folder = f"{avatar_folder(avatar)}/{HISTORY}"
    if isinstance(katas, FolderKatas):
        path = str(katas.root / folder)
    elif isinstance(engine, LocalEngine):
        path = str(engine.home / "volumes" / katas.container(avatar) / "katas" / folder)
    elif isinstance(engine, DockerEngine):
        return _in_a_keeper(engine, katas.container(avatar), f"{VOLUME}/{folder}", which)
    else:
        return False
    if not os.path.isdir(path):
        return False
    subprocess.run([sys.executable, "-c", _PACK, path, which], check=True, capture_output=True)
    return True


def _in_a_keeper(engine: DockerEngine, volume: str, folder: str, which: str) -> bool:
    for container in engine.api.containers(filters={"volume": volume}):
        # Podman puts the registry before the name.
        if container["Image"].rpartition("/")[2].startswith(KEEPER_IMAGE):
            with contextlib.suppress(docker.errors.APIError):
                made = engine.api.exec_create(
                    container["Id"], ["python3", "-I", "-c", _PACK, folder, which]
                )
                engine.api.exec_start(made["Id"])
                return bool(engine.api.exec_inspect(made["Id"])["ExitCode"] == 0)
    return False
