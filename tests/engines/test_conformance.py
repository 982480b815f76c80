"""The suite for engines of other packages: the harness's own pass it, and each mistake of an engine
fails a check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engines import Engine, Limits, Sandbox, SandboxSpec
from harness.engines.local.engine import LocalEngine
from harness.engines.spec import HostFolder, Mount
from harness.engines.streams import Stream
from harness.katas.keeper_link import bundle
from harness.verify.conformance import CHECKS
from harness.verify.proofs import Refuted, Untried


@pytest.mark.parametrize("name", CHECKS)
def test_the_harness_s_own_engines_conform(name: str, shared_engine: Engine) -> None:
    try:
        CHECKS[name](shared_engine)
    except Untried as untried:
        pytest.skip(str(untried))


class Plain(LocalEngine):
    """What the mistakes are made in: it does not isolate, which is quick to open."""

    def __init__(self, home: Path | None = None) -> None:
        super().__init__(home, bubblewrap=False)


class Boasts(Plain):
    """It says that it counts memory, and does not."""

    def __init__(self, home: Path | None = None) -> None:
        super().__init__(home)
        self.counts_memory = True

    def _group(self, label: str, limits: Limits) -> None:
        return None


class TakesAnyImage(Plain):
    """It passes over an image."""

    def check_image(self, image: str | None) -> str:
        return "none"


class PassesOver(Plain):
    """It passes over mounts."""

    def open(self, spec: SandboxSpec) -> Sandbox:
        return super().open(replace(spec, mount=None))


class KnowsAll(Plain):
    """It refuses no kind of mount."""

    def refusal(self, mount: type[Mount]) -> str:
        return ""


class Unlimited(Plain):
    """It passes over limits."""

    def open(self, spec: SandboxSpec) -> Sandbox:
        return super().open(replace(spec, limits=Limits()))


class OneForAll(Plain):
    """All sandboxes are one folder."""

    def open(self, spec: SandboxSpec) -> Sandbox:
        self.home.mkdir(exist_ok=True)
        self.home.chmod(0o777)
        return super().open(replace(spec, mount=HostFolder(self.home)))


class Silent(Plain):
    """It tells nothing of what it started."""

    def traces(self) -> Sequence[str]:
        return []


class Forgets(Plain):
    """What others left stays."""

    def sweep(self) -> Sequence[str]:
        return []


class Throws(Plain):
    """Every volume is temporary."""

    def create_volume(self, name: str, *, temporary: bool, katas: str = "") -> None:
        super().create_volume(name, temporary=True, katas=katas)


class Insists(Plain):
    """Its keepers run the program that it knows."""

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        return super().open_keeper(volume, bundle())


class Another(Plain):
    """Pickled, it is another engine."""

    def __reduce__(self) -> tuple[Any, ...]:
        return LocalEngine, (self.home,)

    def describe(self) -> Mapping[str, str]:
        return {**super().describe(), "engine": "another"}


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        (Boasts, "counts-usage"),
        (TakesAnyImage, "says-what-it-is"),
        (PassesOver, "refuses-mounts"),
        (PassesOver, "makes-mounts"),
        (KnowsAll, "refuses-mounts"),
        (Unlimited, "hands-out-output"),
        (Unlimited, "keeps-time"),
        (OneForAll, "is-shared"),
        (Silent, "tells-traces"),
        (Forgets, "sweeps"),
        (Throws, "keeps-volumes"),
        (Insists, "starts-keepers"),
        (Another, "travels"),
    ],
)
def test_a_mistake_fails_a_check(
    mistake: Callable[[Path], Engine], check: str, tmp_path: Path
) -> None:
    """And that the mistake is not there passes it."""
    with closing(mistake(tmp_path / "home")) as engine, pytest.raises(Refuted) as refuted:
        CHECKS[check](engine)
    assert "\n" not in str(refuted.value)
    with closing(Plain(tmp_path / "home")) as engine:
        CHECKS[check](engine)
