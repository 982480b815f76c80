"""Which engine: the one that was asked for, or the best that works here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.engines import Engine
from harness.engines.docker import images
from harness.engines.docker.engine import DockerEngine
from harness.engines.local.engine import LocalEngine
from harness.inside.errors import EngineError, UsageError

ENGINE_NAMES = ("auto", "docker", "local", "local-plain")


@dataclass(frozen=True)
class Choice:
    """An engine, and why it was taken."""

    engine: Engine
    why: str
    warning: str = (
        ""  # what a run may do there that it may not elsewhere, unless that was asked for
    )


def choose(
    name: str = "auto",
    *,
    image: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Choice:
    """The engine of this name, ready to run: images that are missing are made, which `report` hears about.

    `auto` takes Docker when it answers and its images are there or can be made, else the local engine; so an
    image of the user's own rules the local engine out. `local-plain` does without bubblewrap. What the engine leaves open is
    the choice's `warning`. Raises EngineError where there is none, and UsageError for an unknown name.
    """
    if name not in ENGINE_NAMES:
        raise UsageError(f"there is no engine {name}; there are: {', '.join(ENGINE_NAMES)}")
    if name.startswith("local"):
        local = LocalEngine(bubblewrap=False if name == "local-plain" else None)
        asked = f"asked for; isolation: {local.note}"
        return Choice(local, asked, "" if name == "local-plain" else warning(local))
    if name == "docker":
        engine = _docker(image, report)
        return Choice(engine, "asked for", warning(engine))
    try:
        docker = _docker(image, report)
    except EngineError as error:
        if image is not None:
            raise
        local = LocalEngine()
        report(f"{error}; so the local engine is taken, which has katas of its own")
        return Choice(local, f"Docker is not to be had; isolation: {local.note}", warning(local))
    return Choice(docker, f"it answers at {docker.host}", warning(docker))


def warning(engine: Engine) -> str:
    """What a run may do on this engine that it may not where all is in place, in one line; empty where nothing is left open."""
    if not engine.isolates:
        return (
            "runs are NOT ISOLATED here: the player's code reaches this machine's files, processes and network; "
            "run only code that you trust, install bubblewrap, or start Docker (harness doctor says more)"
        )
    if engine.gaps:
        return f"runs are kept apart, but {'; '.join(engine.gaps)}; harness doctor says what to do"
    return ""


def _docker(image: str | None, report: Callable[[str], None]) -> DockerEngine:
    engine = DockerEngine()
    try:
        if image is None:
            images.ensure(engine.api, images.RUN_IMAGE, report=report)
        images.ensure(engine.api, images.KEEPER_IMAGE, report=report)
    except BaseException:
        engine.close()
        raise
    return engine
