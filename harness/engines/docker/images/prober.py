"""Find out what an image can do, by starting one short-lived container of it.

A probe costs a container start (0.4 s on overlay2, 0.7 s on fuse-overlayfs), so its facts are kept
in the user's cache folder. They never go stale, because an image's id names its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias

import docker
import docker.errors
import docker.types
import platformdirs

from harness.engines.docker.images.facts import ImageFacts, foreign
from harness.engines.docker.images.lookup import find_image
from harness.engines.docker.podman import engine_identity as which
from harness.engines.docker.podman import explained
from harness.engines.guest.environment import players, trusted
from harness.engines.streams.attached import DockerStream
from harness.inside.errors import ImageError
from harness.inside.tarpipe import PACK, UNPACK

PROBE = Path(__file__).with_name("probe.sh").read_text(encoding="utf-8")

PROBE_SECONDS = 30.0
"""Seconds that a probe may take, in case the image's sh or tar hangs."""

Translate: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns a request for a container, in Docker's words, into the engine's own."""

_HERE, _THERE = "/here", "/there"

ANSWER_BYTES = 1 << 16
"""The most bytes of a probe's answers: many times what probe.sh prints."""

SH = ("/bin/sh", "-c")

_NO_SH = re.compile(r'exec: "/bin/sh": .*(executable file not found|no such file or directory)')
"""The error of Docker 20.10 to 26 for a container's command that is not in its image."""


def probe(
    api: docker.APIClient,
    image: str,
    *,
    labels: Mapping[str, str],
    engine: str = "",
    translate: Translate = lambda config: config,
) -> ImageFacts:
    """Find out what `image` can do on this engine, or recall it.

    - `labels`: for the container, so that `harness clean` finds it after a crash.
    - `engine`: the engine's identity. Empty: ask it.
    - `translate`: turns the request for the container into the engine's own words.

    Raises ImageError if there is no such image, or it cannot be examined.
    """
    inspected = find_image(api, image)
    if inspected is None:
        raise ImageError(
            f"there is no image {image} on this engine: `harness image build` makes the harness's "
            "own, `docker pull` gets any other"
        )
    identity = str(inspected["Id"])
    cached = _cache_file(engine or which(api.info()), identity)
    facts = _recall(cached, identity)
    if facts is None:
        try:
            facts = examine_image(api, image, inspected, labels, translate)
        except docker.errors.APIError as error:
            raise ImageError(
                f"the image {image} cannot be examined: "
                f"{explained(str(error.explanation or error))}"
            ) from error
        if facts.sh:
            _remember(cached, facts)
    return facts


def examine_image(
    api: docker.APIClient,
    name: str,
    inspected: Mapping[str, Any],
    labels: Mapping[str, str],
    translate: Translate,
) -> ImageFacts:
    """Start a container of the image, and return what its probe prints. Raises ImageError."""
    image = str(inspected["Id"])
    config = inspected.get("Config") or {}
    platform = "/".join(str(inspected[key]) for key in ("Os", "Architecture") if inspected.get(key))
    variables, checked = tuple(config.get("Env") or ()), bool(config.get("Healthcheck"))
    with _container(api, image, variables, labels, translate, checked=checked) as container:
        # Attach before the start, because the engine keeps no log.
        attached: Any = api.attach_socket(container, {"stdout": 1, "stderr": 1, "stream": 1})
        with contextlib.closing(DockerStream(attached, lambda: _remove(api, container))) as stream:
            try:
                api.start(container)
            except docker.errors.APIError as error:
                said = str(error.explanation or error)
                if _NO_SH.search(said):
                    return ImageFacts(image)
                if why := foreign(name, platform, said):
                    raise ImageError(why) from error
                raise
            answers = _read_all(stream, time.monotonic() + PROBE_SECONDS)
    if why := foreign(name, platform, answers):
        raise ImageError(why)
    facts = ImageFacts.parse(image, answers)
    return replace(facts, volumes=tuple(sorted(config.get("Volumes") or ())))


def _read_all(stream: DockerStream, deadline: float) -> str:
    """Read until the end or the deadline: the answers, or the engine's error if sh cannot run."""
    answers = bytearray()
    with contextlib.suppress(TimeoutError):
        while len(answers) < ANSWER_BYTES and (piece := stream.read(deadline))[0]:
            answers += piece[1]
    return answers.decode(errors="replace")


@contextlib.contextmanager
def _container(
    api: docker.APIClient,
    image: str,
    variables: Sequence[str],
    labels: Mapping[str, str],
    translate: Translate,
    *,
    checked: bool,
) -> Iterator[str]:
    """Create a container, as confined as a run's, for the block to start, and remove it."""
    player_path = players(variables)["PATH"]
    untyped: Any = api  # the stubs leave some calls without types
    config = untyped.create_container_config(
        image,
        entrypoint=[
            *SH,
            PROBE,
            "probe",
            _HERE,
            _THERE,
            " ".join(PACK),
            " ".join(UNPACK),
            player_path,
        ],
        command=[],
        user="0:0",
        working_dir="/",
        environment=trusted(variables),
        healthcheck=docker.types.Healthcheck(test=["NONE"]) if checked else None,
        labels=dict(labels),
        host_config=api.create_host_config(
            auto_remove=True,
            read_only=True,
            network_mode="none",
            cap_drop=["ALL"],
            cap_add=["SETUID", "SETGID", "SETPCAP"],  # what setpriv needs to give everything up
            security_opt=["no-new-privileges"],
            log_config=docker.types.LogConfig(type="none"),
            mem_limit="256m",
            pids_limit=64,
            tmpfs={_HERE: "", _THERE: ""},
        ),
    )
    container = str(untyped.create_container_from_config(translate(config))["Id"])
    try:
        yield container
    finally:
        _remove(api, container)


def _remove(api: docker.APIClient, container: str) -> None:
    # It removes itself when it ends, so it has usually gone, or is going.
    with contextlib.suppress(docker.errors.APIError):
        api.remove_container(container, force=True, v=True)


def _cache_file(engine: str, image: str) -> Path:
    # The script is part of the key, so that a newer harness probes anew.
    key = hashlib.sha256("\n".join([engine, image, PROBE, *PACK, *UNPACK]).encode()).hexdigest()
    return platformdirs.user_cache_path("harness") / "probes" / f"{key[:32]}.json"


def _recall(file: Path, image: str) -> ImageFacts | None:
    """Read the facts in a cache file; None if it is missing, damaged or about another image."""
    try:
        kept: dict[str, Any] = json.loads(file.read_text())
        facts = replace(
            ImageFacts(**kept), tools=frozenset(kept["tools"]), volumes=tuple(kept["volumes"])
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return facts if facts.image == image else None


def _remember(file: Path, facts: ImageFacts) -> None:
    """Keep the facts, if the cache can be written; if not, the next probe starts a container."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(facts) | {"tools": sorted(facts.tools)}))
