"""Which engine is taken, and that a wrong or missing one is told in one line."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.engines import choice as choosing
from harness.engines.choice import Choice, choose
from harness.engines.docker import images
from harness.engines.docker.engine import DockerEngine
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.local.engine import LocalEngine
from harness.engines.local.roots.store import RootStore
from harness.inside.errors import EngineError, HarnessError, ImageError, UsageError
from tests.images import image_of, usable
from tests.support import one_line

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""docker-py drops the socket of a connection that was refused."""

NOWHERE = "unix:///nowhere/docker.sock"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No setting of the user's takes part; returns the folder of the docker program's
    configuration.
    """
    for each in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    yield tmp_path
    gc.collect()  # sockets that were dropped, while their warning is ignored


@pytest.fixture
def chosen() -> Iterator[Callable[..., Choice]]:
    """Chooses; the engine is closed with the test."""
    engines = []

    def choose_it(*arguments: str, **options: Any) -> Choice:
        choice = choose(*arguments, **options)
        engines.append(choice.engine)
        return choice

    yield choose_it
    for each in engines:
        each.close()


def refusal(*arguments: str, **options: str) -> HarnessError:
    """The error, of one line, that this choice ends in."""
    with pytest.raises(HarnessError) as refused:
        choose(*arguments, **options)
    one_line(refused.value)
    return refused.value


def test_the_local_engine_is_taken_when_asked_for(
    chosen: Callable[..., Choice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Docker engine is looked for."""
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    choice = chosen("local")
    assert isinstance(choice.engine, LocalEngine)
    assert choice.why.startswith("asked for")
    assert choice.why.endswith(choice.engine.note)


def test_docker_is_taken_when_asked_for_and_by_itself(
    docker_engine: DockerEngine, chosen: Callable[..., Choice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    assert isinstance(chosen("docker").engine, DockerEngine)
    choice = chosen("auto")
    assert isinstance(choice.engine, DockerEngine)
    assert choice.why == f"it answers at {docker_engine.host}"


def test_an_unknown_name_is_refused() -> None:
    refused = refusal("podman")
    assert isinstance(refused, UsageError)
    assert str(refused) == "there is no engine podman; there are: auto, docker, local, local-plain"


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (
            NOWHERE,
            f"no Docker engine answers at {NOWHERE}; start one, or set DOCKER_HOST (No such file or directory)",
        ),
        ("tcp://127.0.0.1:9", "(Connection refused)"),
        ("carrier-pigeon://roof", "carrier-pigeon://roof"),
        ("ssh://somebody@nowhere", "forward the socket instead"),
    ],
)
def test_an_engine_that_does_not_answer_is_told(
    host: str, said: str, chosen: Callable[..., Choice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When Docker was asked for it is an error; else the local engine is taken, and says why."""
    monkeypatch.setenv("DOCKER_HOST", host)
    refused = refusal("docker")
    assert isinstance(refused, EngineError)
    assert said in str(refused)

    heard: list[str] = []
    choice = chosen(report=heard.append)
    assert isinstance(choice.engine, LocalEngine)
    assert str(refused) in "\n".join([*heard, choice.why])


def test_the_local_engine_is_taken_for_an_image_that_it_has(
    chosen: Callable[..., Choice], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And ruled out by any other, with what is wrong with Docker; so is one without bubblewrap."""
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert NOWHERE in str(refusal("auto", image="gcc:13"))
    assert "the local engine has no image gcc:13" in str(refusal("local", image="gcc:13")) or (
        bubblewrap_problem()
    )
    assert "takes bubblewrap" in str(refusal("local-plain", image="gcc:13"))
    if why := bubblewrap_problem():
        pytest.skip(why)
    with closing(RootStore()) as store:
        store.add(image_of(usable()), ["gcc:13"])
    for name in ("auto", "local"):
        assert isinstance(chosen(name, image="gcc:13").engine, LocalEngine)


def test_an_unknown_context_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    assert str(refusal("docker")).startswith("there is no Docker context gone; ")


def test_an_unknown_context_in_the_configuration_is_told(settings: Path) -> None:
    (settings / "config.json").write_text(json.dumps({"currentContext": "gone"}))
    assert str(refusal("docker")).startswith("there is no Docker context with the name in ")


def test_certificates_that_are_not_there_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    assert str(refusal("docker")).startswith("the Docker engine cannot be found; see DOCKER_HOST")


def test_docker_without_its_images_is_not_taken(
    docker_engine: DockerEngine, chosen: Callable[..., Choice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When they cannot be made either; the connection is let go of."""
    closed: list[DockerEngine] = []

    class Closing(DockerEngine):
        def close(self) -> None:
            super().close()
            closed.append(self)

    def cannot(api: object, name: str, *, report: object) -> None:
        raise ImageError(f"{name} cannot be made")

    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    monkeypatch.setattr(choosing, "DockerEngine", Closing)
    monkeypatch.setattr(images, "ensure", cannot)
    assert isinstance(refusal("docker"), ImageError)
    heard: list[str] = []
    assert isinstance(chosen("auto", report=heard.append).engine, LocalEngine)
    assert f"{images.RUN_IMAGE} cannot be made" in heard[0]
    assert len(closed) == 2


def test_a_context_names_the_host(settings: Path, docker_engine: DockerEngine) -> None:
    """The context that the docker program uses is the one that is used here."""
    folder = settings / "contexts" / "meta" / hashlib.sha256(b"other").hexdigest()
    folder.mkdir(parents=True)
    named = {"Name": "other", "Metadata": {}, "Endpoints": {"docker": {"Host": docker_engine.host}}}
    (folder / "meta.json").write_text(json.dumps(named))
    (settings / "config.json").write_text(json.dumps({"currentContext": "other"}))
    with closing(DockerEngine()) as engine:
        assert engine.host == docker_engine.host
