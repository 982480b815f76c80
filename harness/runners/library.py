"""The library's front door: a runner that is ready, in one line, and tidied up behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from harness import runners
from harness.engines import Limits
from harness.engines.choice import choose
from harness.inside.errors import EngineError
from harness.runners.base import COMMAND, BaseRunner


@contextmanager
def open_runner(
    name: str = "katas-data-container:standby=seeded",
    *,
    engine: str = "auto",
    katas: str | Path | None = None,
    image: str | None = None,
    command: str = COMMAND,
    limits: Limits | None = None,
    isolated: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> Iterator[BaseRunner]:
    """A runner, closed at the end of the block with all that it made.

    `name` may carry options, as `NAME:option=value,option=value`. The default is the one for those who press again: while
    the player is thinking, the next run-container is started and the tree piped into it. For a single test event, or
    where there is no memory for containers that stand by, `katas-data-container` does without.
    `katas` is where they are kept: a folder, or `volume:NAME` for a runner that keeps them in a
    data-container; None for temporary ones. `isolated=False` is for code that you trust: it plays on this machine itself where
    nothing keeps a run apart, which is an EngineError otherwise; the engine `local-plain` says the same. Raises UsageError for an
    unknown name, EngineError where no engine works, ImageError for an image that would give stale builds.

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
        if isolated and not chosen.isolates and engine != "local-plain":
            raise EngineError(
                f"no engine keeps a run from this machine here ({choice.why}); install bubblewrap or start Docker "
                "(harness doctor says how), or give isolated=False for code that you trust"
            )
        if isolated and choice.warning:
            report(choice.warning)
        with closing(
            variant.open(chosen, katas, image=image, command=command, limits=limits)
        ) as runner:
            yield runner
