"""The Docker engine, 20.10 and later, by its API."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import docker
import docker.errors
import docker.types
import requests.exceptions

from harness.engines import Volume, part_of
from harness.engines.bootstrap import BOOTSTRAP, send_program
from harness.engines.docker import images
from harness.engines.docker.container import (
    KEEPER_CAPABILITIES,
    RUN_CAPABILITIES,
    container_config,
    create_container,
)
from harness.engines.docker.endpoint import Connection, Endpoint
from harness.engines.docker.failures import explaining
from harness.engines.docker.images.facts import SANDBOX, VOLUME
from harness.engines.docker.images.lookup import find_image
from harness.engines.docker.mounts import DOCKER_MOUNTS, DockerMount
from harness.engines.docker.podman import Filter, Podman, engine_identity, is_going
from harness.engines.docker.sweeping import SWEEPER, SWEPT
from harness.engines.guest.caches import Caches
from harness.engines.guest.command_line import guest_arguments
from harness.engines.guest.environment import players
from harness.engines.guest.sandbox import Sandbox
from harness.engines.owner import KATAS, OWNER_LABEL, TEMPORARY, Owner
from harness.engines.seccomp import profile
from harness.engines.spec import (
    NOBODY,
    Mount,
    SandboxSpec,
    unknown_mount,
)
from harness.engines.streams import Stream
from harness.engines.streams.attached import DockerStream
from harness.engines.streams.forks import Origin
from harness.engines.usage import CONTAINER
from harness.inside.errors import EngineError, ImageError, UsageError

PRIVATE = "/run/harness"
"""The guest's own folder in a run-container."""

ATTACH = "stdin=1&stdout=1&stderr=1&stream=1&detachKeys="
"""The query of a request to attach. `detachKeys` is empty, because Podman ends any stream with
those keys.
"""

KEEPER_SECONDS = 60.0
"""Seconds that a keeper may take to start, on a slow storage driver too."""

REMOVAL_SECONDS = 20.0
"""Seconds to wait for a container to disappear: the engine removes it some time after its last
process has ended.
"""


_INHERITED = "it has its label from an image that was made of a container"


class DockerEngine:
    """One Docker engine, reached by its socket."""

    name = "docker"
    isolates = True
    makes_images = True
    quick = False
    removable = True
    mounts = frozenset(DOCKER_MOUNTS)
    player: tuple[int, int] | None = (NOBODY, NOBODY)

    def __init__(self, host: str | None = None) -> None:
        """Connect to the engine at `host`, as in DOCKER_HOST. None: the one that docker(1) uses.

        Raises EngineError if no engine answers there.
        """
        with explaining(
            "the Docker engine cannot be found; see DOCKER_HOST and `docker context ls`"
        ):
            self._endpoint = Endpoint(host) if host else Endpoint.find()
            self.host = self._endpoint.host
            """The host, as in DOCKER_HOST."""
        if self.host.startswith("ssh://"):
            raise EngineError(
                "ssh:// is not supported: its streams cannot be half-closed; forward the socket "
                "instead (ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST) and set "
                "DOCKER_HOST=unix:///tmp/engine.sock"
            )
        with explaining(f"no Docker engine answers at {self.host}; start one, or set DOCKER_HOST"):
            self._endpoint.knock()
            self.api = docker.APIClient(
                base_url=self.host, version="auto", timeout=60, tls=self._endpoint.tls or False
            )
            """The engine's API, for what `Endpoint` does not do."""
            self._facts = self.api.info()
            self._podman = Podman.detect(self._facts, self.host)
        self._filter: Filter | None = None
        self._origin = Origin()
        self._security = ["no-new-privileges"]
        if _filters(self._facts):  # otherwise the engine refuses any filter
            if not self._podman:
                self._security.append(f"seccomp={profile()}")
            elif self._podman.here:
                self._filter = Filter()
                self._security.append(f"seccomp={self._filter.path}")
        self.counts_memory = self._facts.get("MemoryLimit") is not False and (
            self._podman is None or self._podman.groups
        )
        self.gaps = (*_gaps(self._facts), *(self._podman.gaps() if self._podman else ()))
        self._owner = str(Owner.current())
        self._workers = ThreadPoolExecutor(max_workers=32, thread_name_prefix="harness-docker")
        self._started: set[str] = set()
        self._images: dict[str, _Image] = {}
        self._checked = False
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.host,)

    def describe(self) -> Mapping[str, str]:
        facts = self._facts
        return {
            "engine": str(self._podman or f"docker {facts['ServerVersion']}"),
            "storage driver": str(facts["Driver"]),
            "cgroup": str(facts.get("CgroupVersion", "1")),
            "kernel": str(facts["KernelVersion"]),
            "host": str(facts["OperatingSystem"]),
            "processors": str(facts["NCPU"]),
            "api": str(self.api.api_version),
        }

    def check_image(self, image: str | None) -> str:
        name = image or images.RUN_IMAGE
        with explaining(f"the image {name} cannot be examined"):
            facts = images.probe(
                self.api,
                name,
                labels={OWNER_LABEL: self._owner},
                engine=engine_identity(self._facts),
                translate=self._translate,
            )
        if problems := images.problems(facts):
            raise ImageError(f"the image {name} cannot be used: " + "; ".join(problems))
        if self._podman and not self._checked:
            self._check_podman(facts.image)
        return name

    def open(self, spec: SandboxSpec) -> Sandbox:
        self._origin.require("engine")
        if spec.mount and self._way(spec.mount).late:
            return Sandbox(lambda: self._open(spec), spec.limits)
        try:
            future = self._workers.submit(self._open, spec)
        except RuntimeError as error:
            raise UsageError("this engine is closed; open another one") from error
        return Sandbox(lambda: future.result(spec.limits.event_seconds), spec.limits)

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        self._origin.require("engine")
        with explaining("the keeper's image cannot be made"):
            images.ensure(self.api, images.KEEPER_IMAGE, report=lambda line: None)
        stream = self.start_container(
            f"the keeper of volume {volume}",
            image=images.KEEPER_IMAGE,
            entrypoint=["python3", "-I", "-c", BOOTSTRAP, VOLUME],
            mounts=[docker.types.Mount(VOLUME, volume, type="volume", no_copy=True)],
            cap_add=KEEPER_CAPABILITIES,
            tmpfs={"/tmp": "mode=1777"},
        )
        stream.write(send_program(program), time.monotonic() + KEEPER_SECONDS)
        return stream

    def refusal(self, mount: type[Mount]) -> str:
        way = DOCKER_MOUNTS.get(mount)
        if way is None:
            return unknown_mount(self.name, mount)
        if self._podman and (why := self._podman.refusal(mount)):
            return why
        return way.refusal(self.api.api_version, str(self._facts.get("KernelVersion", "")))

    def create_volume(self, name: str, *, temporary: bool, katas: str = "") -> None:
        labels = {OWNER_LABEL: self._owner, KATAS: katas or name} | (
            {TEMPORARY: "yes"} if temporary else {}
        )
        with explaining(f"the volume {name} cannot be made"):
            try:
                volume = self.api.inspect_volume(name)
            except docker.errors.NotFound:
                self.api.create_volume(name, labels=labels)
            else:
                if OWNER_LABEL not in (volume.get("Labels") or {}):
                    raise UsageError(f"the volume {name} is not the harness's; choose another name")

    def volumes(self) -> Sequence[Volume]:
        with explaining("the volumes cannot be listed"):
            volumes = self.api.volumes(filters={"label": OWNER_LABEL})["Volumes"] or []
        return [
            Volume(
                volume["Name"],
                TEMPORARY in volume["Labels"],
                part_of(volume["Name"], volume["Labels"].get(KATAS)),
            )
            for volume in volumes
        ]

    def remove_volume(self, name: str) -> None:
        deadline = time.monotonic() + REMOVAL_SECONDS
        with explaining(f"the volume {name} cannot be removed"):
            while True:
                try:
                    return self.api.remove_volume(name)
                except docker.errors.NotFound:
                    return None
                except docker.errors.APIError as error:
                    # Its keeper ends asynchronously, and holds the volume until then.
                    if error.status_code != HTTPStatus.CONFLICT or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)

    def traces(self) -> Sequence[str]:
        with explaining("the containers cannot be listed"):
            return [f"container {container[:12]}" for container in self.alive()]

    def leftovers(self) -> Sequence[str]:
        return _lines(*self._left())

    def sweep(self) -> Sequence[str]:
        containers, volumes = self._left()
        with explaining("what a crash left cannot be removed"):
            for container in containers:
                self.remove_container(container)
        for volume in volumes:
            self.remove_volume(volume)
        return _lines(containers, volumes)

    def left_alone(self) -> Sequence[tuple[str, str]]:
        containers, volumes = self._temporary()
        doubts = [(f"container {name}", _INHERITED) for name in self._heirs()]
        doubts += [(f"container {name}", owner.fate().doubt) for name, owner in containers]
        doubts += [(f"volume {name}", owner.fate().doubt) for name, owner in volumes]
        return [(what, doubt) for what, doubt in doubts if doubt]

    def close(self) -> None:
        if not self._origin.is_here():
            return
        self._workers.shutdown(wait=True)
        deadline = time.monotonic() + REMOVAL_SECONDS
        with contextlib.suppress(EngineError), explaining("the containers cannot be listed"):
            while time.monotonic() < deadline:
                if not self.alive():
                    break
                time.sleep(0.02)
            for container in self._started if time.monotonic() >= deadline else ():
                with contextlib.suppress(docker.errors.APIError):
                    self.remove_container(container)
        self.api.close()
        if self._filter:
            self._filter.close()

    def _translate(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the request for a container in the engine's own words."""
        return self._podman.translate(config) if self._podman else config

    def _check_podman(self, image: str) -> None:
        """Create a run-container without starting it, to find out what Podman lacks.

        Raises EngineError.
        """
        with explaining("no run-container can be made"):
            api: Any = self.api  # the stubs leave the call without types
            config = self._config(
                image, entrypoint=["/bin/sh"], mounts=[], cap_add=RUN_CAPABILITIES, tmpfs={}
            )
            made = api.create_container_from_config(self._translate(config))
            self.remove_container(str(made["Id"]))
        self._checked = True

    def _open(self, spec: SandboxSpec) -> Stream:
        limits = spec.limits
        owner = f"uid={spec.uid},gid={spec.gid}"
        become = ["setpriv", f"--reuid={spec.uid}", f"--regid={spec.gid}", "--clear-groups"]
        player = [*become, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]
        image = self._image(spec.image or images.RUN_IMAGE)
        environment = players(image.variables)
        tmpfs = {
            PRIVATE: "mode=0700,size=1m",
            "/tmp": f"exec,mode=1777,size={limits.temporary}",
        }
        sandbox, mounts = SANDBOX, []
        if spec.mount:
            sandbox, mount = self._way(spec.mount).make(self.api, spec.mount)
            mounts.append(mount)
        else:
            # The root of a tmpfs counts, too.
            bounds = f"size={limits.sandbox},nr_inodes={limits.files + 1}"
            tmpfs[SANDBOX] = f"exec,mode=0755,{owner},{bounds}"
        entrypoint = guest_arguments(
            sandbox=sandbox,
            private=PRIVATE,
            shown=sandbox,
            limits=limits,
            sweep=f'exec "$@" /bin/sh -c {shlex.quote(SWEEPER)}',
            swept=SWEPT,
            usage=CONTAINER,
            caches=Caches.seen(environment),
            unpack_as=become,
            environment=environment,
            player=player,
        )
        try:
            return self.start_container(
                "the run-container",
                image=image.identity,
                entrypoint=entrypoint,
                mounts=mounts,
                tmpfs=tmpfs,
                cap_add=RUN_CAPABILITIES,
                variables=image.variables,
                checked=image.checked,
                limits=limits,
            )
        except ImageError:
            self._images.pop(image.name, None)  # it may be built anew: look it up again next time
            raise

    def _way(self, mount: Mount) -> DockerMount:
        """Return how to make a mount. Raises EngineError if it is of an unknown kind."""
        way = DOCKER_MOUNTS.get(type(mount))
        if way is None:
            raise EngineError(unknown_mount(self.name, type(mount)))
        return way

    def _image(self, name: str) -> _Image:
        """Look an image up once, so that the image that runs is the one that was examined."""
        image = self._images.get(name)
        if image is None:
            with explaining(f"the image {name} cannot be examined"):
                inspected = find_image(self.api, name)
            if inspected is None:
                raise ImageError(
                    f"the run-container cannot be started: there is no image {name} on this "
                    "engine; `harness image build` makes the harness's own"
                )
            config = inspected.get("Config") or {}
            image = _Image(
                name,
                str(inspected["Id"]),
                tuple(config.get("Env") or ()),
                bool(config.get("Healthcheck")),
            )
            self._images[name] = image
        return image

    def start_container(
        self,
        what: str,
        **options: Any,
    ) -> DockerStream:
        """Start a container, and attach to it; `options` are those of `container_config`.

        Raises EngineError, and ImageError where the image has gone.
        """
        control, attaching = (Connection(self._endpoint, self.api.api_version) for _ in range(2))
        with explaining(f"{what} cannot be started"), closing(control), closing(attaching):
            config = self._translate(self._config(**options))
            container = create_container(control, config)
            with self._lock:
                self._started.add(container)
            try:
                # Attach before the start, so that the HTTP response's read-ahead takes no output.
                attaching.upgrade(f"/containers/{container}/attach?{ATTACH}")
                control.post(f"/containers/{container}/start")
            except BaseException:
                with contextlib.suppress(docker.errors.APIError):
                    self.api.remove_container(container, force=True, v=True)
                raise
            return DockerStream(
                attaching.detach(),
                partial(_quietly, self.api.kill, container),
                stop=partial(_quietly, self.api.stop, container, timeout=0),
                remove=partial(_quietly, self.api.remove_container, container, force=True, v=True),
            )

    def _config(self, image: str, **options: Any) -> dict[str, Any]:
        return container_config(
            self.api, image, owner=self._owner, security=self._security, **options
        )

    def remove_container(self, container: str) -> None:
        """Kill and remove a container; one that has gone or is going is left to itself.

        Raises docker.errors.APIError.
        """
        deadline = time.monotonic() + REMOVAL_SECONDS
        while True:
            try:
                return self.api.remove_container(container, force=True, v=True)
            except docker.errors.APIError as error:
                # It has gone, or is going: a container removes itself when its last process ends.
                if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                    return None
                if not is_going(str(error.explanation)) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _containers(self) -> list[dict[str, Any]]:
        containers: list[dict[str, Any]] = self.api.containers(
            all=True, filters={"label": OWNER_LABEL}
        )
        return containers

    def alive(self) -> set[str]:
        """Return the ids of the containers that this object has started and that still exist."""
        return {container["Id"] for container in self._containers()} & self._started

    def _left(self) -> tuple[list[str], list[str]]:
        containers, volumes = self._temporary()
        return (
            [name for name, owner in containers if owner.has_gone()],
            [name for name, owner in volumes if owner.has_gone()],
        )

    def _heirs(self) -> list[str]:
        """Return the containers whose owner is that of their image: `docker commit` wrote it there.

        They are not the harness's, which gives each container another owner.
        """
        with explaining("the containers cannot be listed"):
            labelled = self.api.images(filters={"label": OWNER_LABEL})
            owners = {image["Id"]: _owner(image) for image in labelled}
            return [
                item["Id"][:12]
                for item in self._containers()
                if (owner := _owner(item)) and owners.get(item["ImageID"]) == owner
            ]

    def _temporary(self) -> tuple[list[tuple[str, Owner]], list[tuple[str, Owner]]]:
        """Return the containers and volumes that are removed with their owners, and the owners."""
        with explaining("the containers cannot be listed"):
            heirs = self._heirs()
            found = [(item["Id"][:12], _owner(item)) for item in self._containers()]
            containers = [(name, owner) for name, owner in found if name not in heirs]
            labelled = self.api.volumes(filters={"label": TEMPORARY})["Volumes"] or []
            volumes = [(item["Name"], _owner(item)) for item in labelled]
        return (
            [(name, owner) for name, owner in containers if owner],
            [(name, owner) for name, owner in volumes if owner],
        )


def _quietly(end: Callable[..., object], container: str, **options: Any) -> None:
    """End a container by a call of the API. It may have ended, and so may the engine."""
    with contextlib.suppress(docker.errors.DockerException, requests.exceptions.RequestException):
        end(container, **options)


def _lines(containers: Sequence[str], volumes: Sequence[str]) -> list[str]:
    return [
        *(f"container {container}" for container in containers),
        *(f"volume {volume}" for volume in volumes),
    ]


def _owner(labelled: Mapping[str, Any]) -> Owner | None:
    return Owner.parse((labelled.get("Labels") or {}).get(OWNER_LABEL, ""))


def _filters(facts: Mapping[str, Any]) -> bool:
    return any(option.startswith("name=seccomp") for option in facts.get("SecurityOptions") or ())


def _gaps(facts: Mapping[str, Any]) -> Iterator[str]:
    """Say what this engine's kernel cannot bound or filter."""
    if not _filters(facts):
        yield "system calls are not filtered (the engine's kernel has no seccomp)"
    for key, what in {"MemoryLimit": "memory", "PidsLimit": "processes"}.items():
        if facts.get(key) is False:
            yield f"{what} of a run cannot be bounded (see docker info)"


@dataclass(frozen=True)
class _Image:
    name: str

    identity: str
    """Its id, "sha256:..."."""

    variables: tuple[str, ...]
    """Its variables, each NAME=VALUE."""

    checked: bool
    """Whether it has a health check, which would run as root beside the player's files."""
