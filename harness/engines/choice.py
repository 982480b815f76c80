"""Choose an engine: the one that was asked for, or the best that works here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.engines import Engine
from harness.engines.docker import images
from harness.engines.docker.engine import DockerEngine
from harness.engines.local.engine import LocalEngine
from harness.inside.errors import EngineError, not_among

ENGINE_NAMES = ("auto", "docker", "local", "local-plain")


@dataclass(frozen=True)
class Choice:
    """An engine, and why it was chosen."""

    engine: Engine
    """Ready to run."""

    why: str
    """Why it was chosen, in one line."""

    name: str
    """By which another process gets such an engine without being warned again."""

    warning: str = ""
    """What a run may do on it that others forbid. Empty: nothing, or the caller asked for it."""


def choose(
    name: str = "auto",
    *,
    image: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Choice:
    """Return the engine `name`, ready to run. Builds missing images, and tells `report` about it.

    `auto` takes Docker if it answers and its images exist or can be built; otherwise the local
    engine, unless `image` is given. `local-plain` leaves out bubblewrap.

    Raises EngineError if no engine works, and UsageError for an unknown name.
    """
    if name not in ENGINE_NAMES:
        raise not_among("engine", name, ENGINE_NAMES)
    if name.startswith("local"):
        plain = name == "local-plain"
        local = LocalEngine(bubblewrap=False if plain else None)
        return _local(local, "asked for", "" if plain else warning(local))
    if name == "docker":
        engine = _docker(image, report)
        return Choice(engine, "asked for", name, warning(engine))
    try:
        docker = _docker(image, report)
    except EngineError as error:
        if image is not None:
            raise
        local = LocalEngine()
        report(f"{error}; taking the local engine instead, which keeps its own katas")
        return _local(local, "Docker does not work here", warning(local))
    return Choice(docker, f"it answers at {docker.host}", docker.name, warning(docker))


def warning(engine: Engine) -> str:
    """Say in one line what a run may do on this engine that others forbid. Empty: nothing."""
    if not engine.isolates:
        return (
            "runs are NOT ISOLATED here: the player's code reaches this machine's files, processes "
            "and network; run only code that you trust, install bubblewrap, or start Docker "
            "(harness doctor says more)"
        )
    if engine.gaps:
        return f"runs are isolated, but {'; '.join(engine.gaps)}; harness doctor says what to do"
    return ""


def _local(engine: LocalEngine, why: str, said: str) -> Choice:
    name = engine.name if engine.isolates else "local-plain"
    return Choice(engine, f"{why}; isolation: {engine.note}", name, said)


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
