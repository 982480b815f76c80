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
    from harness.inside.errors import HarnessError
    from harness.inside.layout import Avatar
    from harness.katas.visible import VisibleFiles
    from harness.measure.results import load_results
    from harness.runners.library import open_runner
    from harness.runners.run import Outcome, Run

__all__ = [
    "Avatar",
    "HarnessError",
    "Limits",
    "Outcome",
    "Run",
    "VisibleFiles",
    "load_results",
    "open_runner",
]

_HOMES = {
    "Avatar": "harness.inside.layout",
    "HarnessError": "harness.inside.errors",
    "Limits": "harness.engines",
    "Outcome": "harness.runners.run",
    "Run": "harness.runners.run",
    "VisibleFiles": "harness.katas.visible",
    "load_results": "harness.measure.results",
    "open_runner": "harness.runners.library",
}


def __getattr__(name: str) -> Any:
    if name == "testing":
        return import_module("harness.verify.testing")
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
