# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What each transport does to a stamp
#
# `make` decides by timestamps alone: it rebuilds a product if a source is *strictly newer*. If you copy a tree
# with its products into a container and back, you must keep every digit of the stamps. This notebook copies a small tree
# with the usual transports, live, on the machine that it runs on. Then it shows a stale build with the most usual one.

# %% tags=["hide-input"]
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from harness.inside import tarpipe

work = Path(tempfile.mkdtemp(prefix="harness-notebook-"))

# %% [markdown]
# ## The tree
#
# A file, a folder and a symlink, each with a stamp to the nanosecond.

# %% tags=["hide-input"]
STAMP = 1_234_567_890_123_456_789  # nanoseconds since 1970: a Friday in February 2009


def plant(folder: Path) -> None:
    (folder / "folder").mkdir(parents=True)
    (folder / "folder" / "file.c").write_text("int main(void) { return 0; }\n")
    (folder / "link").symlink_to("folder/file.c")
    for name in ("folder/file.c", "link", "folder"):
        os.utime(folder / name, ns=(STAMP, STAMP), follow_symlinks=False)


def pipe(pack: list[str], unpack: list[str], source: Path, target: Path) -> None:
    """tar | tar, as in the notes."""
    packed = subprocess.run([*pack, "-C", str(source), "."], capture_output=True, check=True).stdout
    subprocess.run([*unpack, "-C", str(target)], input=packed, check=True)


def python_tarfile(source: Path, target: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(source, arcname=".")
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        archive.extractall(target)


def by_the_harness(source: Path, target: Path) -> None:
    """The tar-pipe of this project."""
    pieces: list[bytes] = []
    tarpipe.pack(str(source), pieces.append)
    tarpipe.unpack(str(target), pieces)


PACK, UNPACK = ["tar", "-cf", "-"], ["tar", "-xf", "-"]
transports = {
    "cp -r": lambda source, target: subprocess.run(["cp", "-rT", source, target], check=True),
    "cp -a": lambda source, target: subprocess.run(["cp", "-aT", source, target], check=True),
    "tar | tar, GNU tar's default": lambda source, target: pipe(PACK, UNPACK, source, target),
    "tar | tar, --format=ustar": lambda source, target: pipe(
        [*PACK, "--format=ustar"], UNPACK, source, target
    ),
    "tar | tar, --format=posix": lambda source, target: pipe(
        [*PACK, "--format=posix"], UNPACK, source, target
    ),
    "Python's tarfile, pax": python_tarfile,
    "the harness's tar-pipe": by_the_harness,
}
if busybox := shutil.which("busybox"):
    transports["tar --format=posix | busybox tar"] = lambda source, target: pipe(
        [*PACK, "--format=posix"], [busybox, "tar", "-xf", "-"], source, target
    )

# %% [markdown]
# ## What arrives
#
# How far each stamp is off after one trip, in nanoseconds; 0 is exact.

# %% tags=["hide-input"]
rows = []
for name, copy in transports.items():
    source, target = (
        work / name.replace("/", "-") / "source",
        work / name.replace("/", "-") / "target",
    )
    plant(source)
    target.mkdir()
    copy(source, target)
    off = {
        what: (target / path).lstat().st_mtime_ns - STAMP
        for what, path in (("file", "folder/file.c"), ("folder", "folder"), ("symlink", "link"))
    }
    rows.append({"transport": name, **off, "exact": not any(off.values())})
arrived = pd.DataFrame(rows).set_index("transport")
arrived.style.format("{:,}", subset=["file", "folder", "symlink"]).map(
    lambda exact: "color: #00614a; font-weight: bold" if exact else "color: #a03000",
    subset=["exact"],
)

# %% [markdown]
# GNU tar's default format, and ustar, keep whole seconds: the file arrives up to a second *older* than it was. Python's
# tarfile keeps a float, which cannot tell two stamps apart that are less than 238 ns from each other. Only the pax format of
# POSIX, written and read by GNU tar, is exact. The harness pipes that format, and checks that an image can read and write it.

# %% [markdown]
# ## The stale build
#
# Fractions of a second matter. Build, send the tree through a pipe that keeps whole seconds, and edit within the same second, as
# an agent or a quick player does. Say the product was built at 12:00:00.2 and the edit comes at 12:00:00.6. The pipe makes
# both of them 12:00:00, and the source is no longer newer.


# %% tags=["hide-input"]
def round_trip(options: list[str]) -> tuple[str, str]:
    """What the program prints after the edit, and what make said."""
    home, container = Path(tempfile.mkdtemp(dir=work)), Path(tempfile.mkdtemp(dir=work))
    (home / "Makefile").write_text("program: source\n\tcp source program\n")
    while time.time() % 1 > 0.3:  # early in a second, so that build and edit share it
        time.sleep(0.01)
    (home / "source").write_text("old\n")
    subprocess.run(["make", "--silent"], cwd=home, check=True)
    time.sleep(0.1)
    (home / "source").write_text("new\n")
    pipe([*PACK, *options], UNPACK, home, container)
    make = [
        "make",
        "--no-print-directory",
    ]  # which another make around this notebook would have it print
    said = subprocess.run(
        make, cwd=container, capture_output=True, text=True, check=True
    ).stdout.strip()
    return (container / "program").read_text().strip(), said


outcomes = []
for name, options in {"GNU tar's default": [], "--format=posix": ["--format=posix"]}.items():
    for _ in range(5):
        printed, said = round_trip(options)
        outcomes.append({"pipe": name, "program prints": printed, "make says": said})
stale = pd.DataFrame(outcomes)
stale.groupby(["pipe", "program prints", "make says"]).size().rename("times").reset_index()

# %% tags=["hide-input"]
lost = stale["program prints"].eq("old").groupby(stale["pipe"]).agg(["sum", "size"])
default, exact = lost.loc["GNU tar's default"], lost.loc["--format=posix"]
shutil.rmtree(work)
Markdown(
    f"**{default['sum']} of {default['size']} edits were lost** through the default pipe: the program that runs is the old one, "
    f"make says that it is up to date, and running it again changes nothing. Through the exact pipe it was {exact['sum']} of "
    f"{exact['size']}."
)
