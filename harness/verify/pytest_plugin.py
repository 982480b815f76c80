"""The pytest plugin: options, a marker, and the fixtures of the suites in `harness.verify`.

Every pytest run on a machine with this package loads it, so it imports nothing until a proof is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.engines import Engine
    from harness.runners.claims import Property
    from harness.runners.variant import Variant
    from harness.verify.proofs import ProofResult

PROFILE = "dev"


@dataclass(frozen=True)
class _Case:
    """One test: a property of a runner on an engine."""

    variant: Variant
    engine: str
    name: Property
    profile: str

    def __str__(self) -> str:
        return f"{self.variant.label}-{self.engine}-{self.name}"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "proofs of what runners claim (see harness.verify.suite)")
    group.addoption(
        "--harness-runner",
        action="append",
        metavar="NAME",
        help="runner under proof; may be given several times "
        "(default: harness_runners of the ini file, else the runners of the notes)",
    )
    group.addoption(
        "--harness-engine",
        action="append",
        metavar="NAME",
        help="auto, docker, local, local-plain, or an engine of another package; may be given "
        "several times "
        "(default: harness_engines of the ini file, else auto)",
    )
    group.addoption(
        "--harness-profile",
        metavar="NAME",
        help="how hard to search for counterexamples: dev (default), "
        "ci (the same examples each time) or thorough",
    )
    parser.addini("harness_runners", "runners under proof", type="args")
    parser.addini("harness_engines", "engines that they are proved on", type="args")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "harness: a proof of what a runner claims (see harness.verify.suite), or of an engine "
        "(see harness.verify.engine_suite)",
    )
    # Report a wrong option at once.
    if any(config.getoption(f"harness_{name}") for name in ("runner", "engine", "profile")):
        _cases(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "harness_case" in metafunc.fixturenames:
        cases = _cases(metafunc.config)
        metafunc.parametrize("harness_case", cases, ids=[str(case) for case in cases])
    if "harness_check" in metafunc.fixturenames:
        from harness.verify.conformance import CHECKS  # noqa: PLC0415 - see above

        checks = [(engine, name) for engine in _engines(metafunc.config) for name in CHECKS]
        metafunc.parametrize("harness_check", checks, ids=["-".join(check) for check in checks])


@pytest.fixture(scope="session")
def harness_engine() -> Iterator[Callable[[str], Engine]]:
    """Open an engine by its name, once; skip the test, with the reason, if that fails."""
    from harness.engines.choice import choose  # noqa: PLC0415 - see above
    from harness.inside.errors import EngineError  # noqa: PLC0415

    with ExitStack() as stack:
        opened: dict[str, Engine | str] = {}

        def open_it(name: str) -> Engine:
            if name not in opened:
                try:
                    opened[name] = stack.enter_context(closing(choose(name).engine))
                except EngineError as error:
                    opened[name] = str(error)
            engine = opened[name]
            if isinstance(engine, str):
                pytest.skip(f"there is no engine {name} here: {engine}")
            return engine

        yield open_it


@pytest.fixture
def harness_finding(harness_case: _Case, harness_engine: Callable[[str], Engine]) -> ProofResult:
    """Return the result of the search for a counterexample."""
    from harness.verify.proofs import PROFILES, Subject, examine  # noqa: PLC0415 - see above

    subject = Subject(
        harness_case.variant, harness_engine(harness_case.engine), harness_case.engine
    )
    return examine(subject, harness_case.name, PROFILES[harness_case.profile])


def _cases(config: pytest.Config) -> list[_Case]:
    """Return the tests. Raises pytest.UsageError, which prints one line and exits with 4."""
    from harness import runners  # noqa: PLC0415 - see above
    from harness.engines.extras import missing_extra  # noqa: PLC0415
    from harness.inside.errors import UsageError, not_among  # noqa: PLC0415

    try:
        from harness.verify.matrix import properties  # noqa: PLC0415
        from harness.verify.proofs import PROFILES  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise pytest.UsageError(missing_extra(error) or str(error)) from error

    names = (
        config.getoption("harness_runner")
        or config.getini("harness_runners")
        or runners.NOTES_NAMES
    )
    engines = _engines(config)
    profile = config.getoption("harness_profile") or PROFILE
    if profile not in PROFILES:
        raise pytest.UsageError(str(not_among("profile", profile, PROFILES)))
    try:
        variants = [runners.parse_variant(name) for name in names]
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    return [
        _Case(variant, engine, name, profile)
        for engine in engines
        for variant in {variant.label: variant for variant in variants}.values()
        for name in properties()
    ]


def _engines(config: pytest.Config) -> list[str]:
    """Return the names of the engines. Raises pytest.UsageError for an unknown one."""
    from harness.engines.choice import check_engine_name  # noqa: PLC0415 - see above
    from harness.inside.errors import UsageError  # noqa: PLC0415

    names = config.getoption("harness_engine") or config.getini("harness_engines") or ["auto"]
    try:
        for name in names:
            check_engine_name(name)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    return list(dict.fromkeys(names))
