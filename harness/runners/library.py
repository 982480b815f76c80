"""`open_runner`: open a runner in one line, and clean up after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from harness import runners
from harness.engines import Limits
from harness.engines.choice import choose
from harness.inside.errors import EngineError
from harness.runners.base import COMMAND, BaseRunner
from harness.runners.katas_data_container import WITH_HEAD_START


@contextmanager
def open_runner(
    name: str = WITH_HEAD_START,
    *,
    engine: str = "auto",
    katas: str | Path | None = None,
    image: str | None = None,
    command: str = COMMAND,
    limits: Limits | None = None,
    isolated: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> Iterator[BaseRunner]:
    """Open a runner, and close it with its engine and temporary katas at the end of the block.

    - `name`: the runner, as `NAME` or `NAME:option=value,option=value`. The default suits players
      who press again: while they think, it starts the next run-container and pipes the tree in. For
      a single test event, or to save the memory, take `katas-data-container`.
    - `engine`: `auto`, `docker`, `local`, `local-plain`, or an engine of another package.
    - `katas`: where to keep them: a folder, or `volume:NAME` for a runner that uses a
      data-container. None: in a temporary place.
    - `image`: the image for runs. None: the engine's default.
    - `command`: the command line that each test event runs.
    - `limits`: the limits of a test event. None: the defaults.
    - `isolated`: False also accepts an engine that does not isolate, for code that you trust; so
      does `engine="local-plain"`.
    - `report`: gets progress and warnings, a line at a time.

    Raises UsageError for an unknown name, EngineError if no engine works or none isolates, and
    ImageError for an image that would give stale builds.

    >>> import harness
    >>> with harness.open_runner(engine="local") as runner:
    ...     run = runner.run(harness.Avatar(), {"cyber-dojo.sh": "#!/bin/sh\\necho hello"})
    >>> run.stdout, run.tag
    ('hello\\n', 1)
    """
    variant = runners.parse_variant(name)
    choice = choose(engine, image=image, report=report)
    chosen = choice.engine
    with closing(chosen):
        if isolated and choice.warning and not chosen.isolates:
            raise EngineError(
                f"no engine isolates runs from this machine ({choice.why}); install bubblewrap or "
                "start Docker (harness doctor says how), or give isolated=False for code that you "
                "trust"
            )
        if isolated and choice.warning:
            report(choice.warning)
        with closing(
            variant.open(chosen, katas, image=image, command=command, limits=limits)
        ) as runner:
            yield runner
