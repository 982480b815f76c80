"""How should a source tree travel into a container and back, so that builds stay incremental?

    import harness

    files = harness.VisibleFiles.from_folder("my-project")
    with harness.open_runner() as runner:
        run = runner.run(harness.Avatar(), files)
    print(run.outcome, run.stdout)

Everything else is in the sub-packages `harness.engines`, `harness.katas`, `harness.runners` and
`harness.measure`. `harness.testing` (`harness.verify.testing`) is for testing programs that carry
trees. Names are imported when first used, so that `import harness` costs almost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.engines import Limits
    from harness.inside.errors import EngineError, HarnessError, ImageError, KatasError, UsageError
    from harness.inside.layout import Avatar
    from harness.katas.visible import VisibleFiles
    from harness.measure.results import load_results
    from harness.runners.base import BaseRunner
    from harness.runners.claims import Property
    from harness.runners.library import open_runner
    from harness.runners.run import Outcome, Output, Phase, Run

    __version__: str

__all__ = [
    "Avatar",
    "BaseRunner",
    "EngineError",
    "HarnessError",
    "ImageError",
    "KatasError",
    "Limits",
    "Outcome",
    "Output",
    "Phase",
    "Property",
    "Run",
    "UsageError",
    "VisibleFiles",
    "__version__",
    "load_results",
    "open_runner",
]

_HOMES = {
    "Avatar": "harness.inside.layout",
    "BaseRunner": "harness.runners.base",
    "EngineError": "harness.inside.errors",
    "HarnessError": "harness.inside.errors",
    "ImageError": "harness.inside.errors",
    "KatasError": "harness.inside.errors",
    "Limits": "harness.engines",
    "Outcome": "harness.runners.run",
    "Output": "harness.runners.run",
    "Phase": "harness.runners.run",
    "Property": "harness.runners.claims",
    "Run": "harness.runners.run",
    "UsageError": "harness.inside.errors",
    "VisibleFiles": "harness.katas.visible",
    "load_results": "harness.measure.results",
    "open_runner": "harness.runners.library",
}


def __getattr__(name: str) -> Any:
    if name == "testing":
        return import_module("harness.verify.testing")
    if name == "__version__":
        # The import takes a tenth of a second.
        from importlib.metadata import version  # noqa: PLC0415

        return version("tarpipe-harness")
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, "testing"})
