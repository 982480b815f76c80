"""Examine the Docker engine: whether one answers, its images, and what its storage driver costs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing

import docker.utils

from harness.engines.docker.engine import DockerEngine
from harness.engines.docker.images import RUN_IMAGE
from harness.engines.docker.images.builder import RECIPE_LABEL, RECIPES
from harness.engines.docker.images.lookup import find_image
from harness.engines.docker.images.recipe import ImageRecipe
from harness.engines.docker.mounts import SUBPATH_API
from harness.engines.doctor.finding import (
    Finding,
    FindingState,
    Fitness,
    as_root,
    explain,
    install_command,
    softly,
)
from harness.engines.doctor.round_trip import RoundTrip, make_round_trip
from harness.engines.spec import HostFolder, Overlay, PartOfVolume
from harness.inside.errors import ImageError

_GOOD_DRIVERS = ("overlay2", "overlayfs", "overlay")


def examine(
    count: int, host_seconds: float | None, report: Callable[[str], None]
) -> tuple[tuple[Finding, ...], Fitness]:
    """Return the findings, and what the engine can be used for."""
    try:
        engine = DockerEngine()
    except Exception as error:
        return (unreachable(explain(error)),), Fitness(explain(error))
    with closing(engine):
        images = softly(
            "images",
            lambda: images_finding(
                {name: _age(engine, recipe) for name, recipe in RECIPES.items()}
            ),
        )
        trip, problem = _try(engine, count, report)
        driver = engine.describe()["storage driver"]
        findings = (
            softly("engine", lambda: _engine(engine, problem)),
            images,
            softly("image maker", _maker),
            *([tar_finding(trip)] if trip else []),
            softly("storage driver", lambda: driver_finding(driver, trip, host_seconds)),
            softly("bounds", lambda: bounds_finding(engine)),
            softly(
                "volume-subpath",
                lambda: subpath_finding(engine.describe()["api"], engine.refusal(PartOfVolume)),
            ),
            softly("overlays", lambda: overlay_finding(engine.refusal(Overlay))),
        )
        # One of the compared runners needs to mount a folder.
        problem = problem or engine.refusal(HostFolder)
    return findings, Fitness(problem, trip.lacks if trip else (), engine.makes_images, answers=True)


def unreachable(reason: str) -> Finding:
    """Say that no engine answers, and what to do."""
    if "Permission denied" in reason:
        advice = (
            "sudo usermod -aG docker $USER, then log in again (access to Docker is as good as root)"
        )
    elif name := next(
        (name for name in ("DOCKER_HOST", "DOCKER_CONTEXT") if os.environ.get(name)), None
    ):
        advice = (
            f"{name} is {os.environ[name]}: start that engine, or unset it to try the machine's own"
        )
    elif shutil.which("dockerd"):
        advice = as_root("systemctl start docker")
    else:
        advice = (
            install_command("docker.io" if shutil.which("apt-get") else "docker")
            + ", then start it"
        )
    return Finding(
        "engine", "missing", reason, "Without it, only the local engine is left.", advice
    )


def images_finding(ages: dict[str, str]) -> Finding:
    """Judge the harness's own images; each is current, outdated or missing."""
    behind = [f"{name} is {age}" for name, age in ages.items() if age != "current"]
    if not behind:
        return Finding("images", "good", f"{' and '.join(ages)} are here and up to date")
    state: FindingState = "missing" if "missing" in ages.values() else "fair"
    return Finding(
        "images",
        state,
        ", ".join(behind),
        "They are built when they are first needed, which takes about a minute.",
        "harness image build",
    )


def tar_finding(trip: RoundTrip) -> Finding:
    """Judge the tar in the image by what it changed in a tree."""
    if trip.problem:
        return Finding(
            "tar in image",
            "missing",
            trip.problem,
            "Builds would go stale: they would miss an edit within the same second.",
            "harness image build",
        )
    return Finding(
        "tar in image",
        "good",
        f"{trip.tar} keeps nanoseconds: a file, a folder and a symlink came back exact",
    )


def driver_finding(driver: str, trip: RoundTrip | None, host_seconds: float | None) -> Finding:
    """Say what the storage driver costs: as measured, if a container started, and as known."""
    what = f"{driver}: {_cost(trip, host_seconds)}" if trip else driver
    if driver in _GOOD_DRIVERS:
        return Finding(
            "storage driver",
            "good",
            what,
            "The usual driver; the figures in the README were measured on one like it.",
        )
    known = (
        "Builds take 2 to 5 times as long as on overlay2, and their times scatter by half: compare "
        "runners with each other, not with figures from elsewhere."
        if driver == "fuse-overlayfs"
        else "Not overlay2: builds are probably slower, and times from elsewhere do not apply."
    )
    return Finding(
        "storage driver",
        "fair",
        what,
        known,
        'use overlay2: "storage-driver": "overlay2" in /etc/docker/daemon.json, or '
        'driver = "overlay" in Podman\'s storage.conf, if the kernel allows it (not inside a '
        "container's own overlay)",
    )


def overlay_finding(refusal: str) -> Finding:
    """Say whether folders of a volume can be mounted as an overlay."""
    if refusal:
        return Finding(
            "overlays", "fair", f"not possible: {refusal}", "katas-overlay is refused here."
        )
    return Finding("overlays", "good", "possible: katas-overlay can be played")


def subpath_finding(api: str, refusal: str = "") -> Finding:
    """Say whether a sub-folder of a volume can be mounted."""
    if refusal and docker.utils.version_gte(api, SUBPATH_API):
        return Finding(
            "volume-subpath",
            "fair",
            f"not possible: {refusal}",
            "The harness works without it; katas-subpath is refused here.",
        )
    if docker.utils.version_gte(api, SUBPATH_API):
        return Finding(
            "volume-subpath",
            "good",
            f"possible (API {api}): a sub-folder of a volume can be mounted alone",
        )
    return Finding(
        "volume-subpath",
        "fair",
        f"not possible: API {api}, needs {SUBPATH_API} (Docker 26)",
        "The harness works without it. A runner of yours must ask first: this engine silently "
        "ignores the option, and mounts the whole volume.",
    )


def _try(
    engine: DockerEngine, count: int, report: Callable[[str], None]
) -> tuple[RoundTrip | None, str]:
    """Make a round trip through the harness's own image, if it is there.

    Returns the round trip, and why the engine does not work. Empty: it works.
    """
    try:
        if find_image(engine.api, RUN_IMAGE) is None:
            return None, ""
        trip = make_round_trip(engine, count, report)
        return trip, trip.problem
    except Exception as error:
        return None, explain(error)


def _engine(engine: DockerEngine, problem: str) -> Finding:
    facts = engine.describe()
    what = f"{facts['engine']}, API {facts['api']}, at {engine.host}"
    if problem:
        return Finding(
            "engine",
            "missing",
            f"{what}: it answers, but a container of {RUN_IMAGE} does not work: {problem}",
            "Runs on it would be faulty.",
            "harness image build, or see the engine's log: journalctl -u docker, or podman",
        )
    if not engine.host.startswith("unix://"):
        return Finding(
            "engine",
            "fair",
            what,
            "It may be on another machine, which cannot mount folders of this one: use "
            "katas-data-container or tmp.",
        )
    return Finding(
        "engine", "good", what, "`harness compare` and `harness run` take it by default."
    )


def _age(engine: DockerEngine, recipe: ImageRecipe) -> str:
    image = find_image(engine.api, recipe.image)
    if image is None:
        return "missing"
    try:
        digest = recipe.digest()
    except (ImageError, OSError):
        return "current"  # nothing to compare with
    return (
        "current"
        if (image["Config"].get("Labels") or {}).get(RECIPE_LABEL) == digest
        else "outdated"
    )


def _maker() -> Finding:
    if shutil.which("mmdebstrap"):
        return Finding(
            "image maker",
            "good",
            "mmdebstrap: builds images from Debian packages, without a registry",
        )
    if shutil.which("apt-get") and os.geteuid() == 0:
        return Finding(
            "image maker", "good", "apt-get: `harness image build` installs mmdebstrap by itself"
        )
    return Finding(
        "image maker",
        "fair",
        "no mmdebstrap: images are built from fixtures/images/Dockerfile",
        "That needs a registry that the engine can pull from (not tried here).",
        install_command("mmdebstrap") if shutil.which("apt-get") else "",
    )


def bounds_finding(engine: DockerEngine) -> Finding:
    """Say whether a run can disturb the machine."""
    info = engine.api.info()
    wanted = {"MemoryLimit": "memory", "SwapLimit": "swap", "PidsLimit": "processes"}
    lacking = [word for key, word in wanted.items() if info.get(key) is False]
    groups = f"control groups {engine.describe()['cgroup']}"
    if engine.gaps and not lacking:
        return Finding(
            "bounds",
            "fair",
            f"{groups}: {'; '.join(engine.gaps)}",
            "Runs are separated, but `isolated` is not claimed: a run can disturb the machine.",
        )
    if lacking:
        return Finding(
            "bounds",
            "fair",
            f"{groups}: {', '.join(lacking)} of a run cannot be bounded",
            "A fork bomb or a hungry program can disturb the machine.",
            "see `docker info` for what the kernel lacks",
        )
    return Finding("bounds", "good", f"{groups}: memory, swap and processes of a run are bounded")


def _cost(trip: RoundTrip, host_seconds: float | None) -> str:
    tries = "one try" if trip.count == 1 else f"median of {trip.count}"
    text = f"a container answers after {trip.start_seconds:.2f} s"
    if trip.read_seconds is not None:
        text += f", the compiler starts in {trip.read_seconds * 1000:.0f} ms in it"
        if host_seconds:
            ratio = trip.read_seconds / host_seconds
            text += f" and {host_seconds * 1000:.0f} ms here, {ratio:.2g} times"
    return f"{text} ({tries})"
