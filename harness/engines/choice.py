"""Choose an engine: the one that was asked for, or the best that works here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.engines import Engine
from harness.engines.docker import images
from harness.engines.docker.engine import DockerEngine
from harness.engines.local.engine import LocalEngine
from harness.engines.plug_ins import load_plug_in, plug_in_names
from harness.inside.errors import EngineError, HarnessError, ImageError, UsageError, not_among

BUILT_IN_ENGINES = ("auto", "docker", "local", "local-plain")
"""What `--engine` takes without any other package."""

ENGINE_GROUP = "harness.engines"
"""The entry point group by which other packages add engines."""


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


def engine_names() -> list[str]:
    """Return all that `--engine` takes, the built-in names first."""
    return [*BUILT_IN_ENGINES, *plug_in_names(ENGINE_GROUP)]


def check_engine_name(name: str) -> None:
    """Raise UsageError, with all names that there are, for an unknown one."""
    # The plug-ins are listed only if need be, since that takes a while.
    if name not in BUILT_IN_ENGINES and name not in (names := engine_names()):
        raise not_among("engine", name, names)


def choose(
    name: str = "auto",
    *,
    image: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Choice:
    """Return the engine `name`, ready to run. Builds missing images, and tells `report` about it.

    `auto` takes Docker if it answers and its images exist or can be built; otherwise the local
    engine, if that has the `image`. `local-plain` leaves out bubblewrap. Any other name is that of
    an engine of another package.

    Raises EngineError if no engine works, and UsageError for an unknown name, or for a plug-in that
    cannot be loaded or is no engine.
    """
    check_engine_name(name)
    if name not in BUILT_IN_ENGINES:
        return _plug_in(name)
    if name.startswith("local"):
        plain = name == "local-plain"
        local = LocalEngine(bubblewrap=False if plain else None)
        _fetch(local, image, report)
        return _local(local, "asked for", "" if plain else warning(local))
    if name == "docker":
        engine = _docker(image, report)
        return Choice(engine, "asked for", name, warning(engine))
    try:
        docker = _docker(image, report)
    except EngineError as error:
        local = LocalEngine()
        try:
            _fetch(local, image, report)
        except ImageError:
            raise error from None
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


def _plug_in(name: str) -> Choice:
    """Open an engine of another package. Raises UsageError unless it is one."""
    plug_in = load_plug_in(ENGINE_GROUP, name, "engine")
    if plug_in is None:
        raise UsageError(f"the engine {name} has just been uninstalled")
    try:
        engine = plug_in.thing()
    except HarnessError:
        raise
    except Exception as error:
        raise plug_in.broken("cannot be opened", error) from error
    if lacks := sorted(member for member in _members() if not hasattr(engine, member)):
        raise plug_in.broken(f"is no engine: it lacks {', '.join(lacks)}")
    opened: Engine = engine
    if opened.name != name:
        opened.close()
        raise plug_in.broken(f"calls itself {opened.name}; give both the same name")
    return Choice(opened, f"asked for; it comes from {plug_in.source}", name, warning(opened))


def _members() -> set[str]:
    """Return the names of all that an engine must have."""
    methods = {member for member in vars(Engine) if not member.startswith("_")}
    return methods | set(Engine.__annotations__)


def _local(engine: LocalEngine, why: str, said: str) -> Choice:
    name = engine.name if engine.isolates else "local-plain"
    return Choice(engine, f"{why}; isolation: {engine.note}", name, said)


def _fetch(engine: LocalEngine, image: str | None, report: Callable[[str], None]) -> None:
    """Get the image if there is one. Raises ImageError."""
    if image is None:
        return
    try:
        engine.fetch_image(image, report)
    except BaseException:
        engine.close()
        raise


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
