"""The Docker engine, 20.10 and later, by its API."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import docker.errors
import docker.types

from harness.engines import Volume
from harness.engines.bootstrap import BOOTSTRAP, send_program
from harness.engines.docker import images
from harness.engines.docker.container_request import (
    KEEPER_CAPABILITIES,
    RUN_CAPABILITIES,
)
from harness.engines.docker.containers import Containers
from harness.engines.docker.endpoint import Endpoint
from harness.engines.docker.failures import explaining
from harness.engines.docker.images.facts import SANDBOX, VOLUME
from harness.engines.docker.images.lookup import RunImages
from harness.engines.docker.leftovers import DockerLeftovers
from harness.engines.docker.mounts import DOCKER_MOUNTS, DockerMount
from harness.engines.docker.podman import Filter, Podman, engine_identity
from harness.engines.docker.sweeping import SWEEPER, SWEPT
from harness.engines.docker.volumes import DockerVolumes
from harness.engines.guest.caches import Caches
from harness.engines.guest.command_line import guest_arguments
from harness.engines.guest.environment import players
from harness.engines.guest.sandbox import Sandbox
from harness.engines.owner import OWNER_LABEL, Owner
from harness.engines.seccomp import profile
from harness.engines.spec import (
    NOBODY,
    Mount,
    SandboxSpec,
    unknown_mount,
)
from harness.engines.streams import Stream
from harness.engines.streams.forks import Origin
from harness.engines.usage import CONTAINER
from harness.inside.errors import EngineError, ImageError, UsageError

PRIVATE = "/run/harness"
"""The guest's own folder in a run-container."""

KEEPER_SECONDS = 60.0
"""Seconds that a keeper may take to start, on a slow storage driver too."""


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
        security = ["no-new-privileges"]
        if _filters(self._facts):  # otherwise the engine refuses any filter
            if not self._podman:
                security.append(f"seccomp={profile()}")
            elif self._podman.here:
                self._filter = Filter()
                security.append(f"seccomp={self._filter.path}")
        self.counts_memory = self._facts.get("MemoryLimit") is not False and (
            self._podman is None or self._podman.groups
        )
        self.gaps = (*_gaps(self._facts), *(self._podman.gaps() if self._podman else ()))
        self._owner = Owner.current()
        self.containers = Containers(self._endpoint, self.api, self._owner, security, self._podman)
        """The containers of this engine."""
        self._volumes = DockerVolumes(self.api, self._owner)
        self._left = DockerLeftovers(self.api, self.containers, self._volumes)
        self._images = RunImages(self.api)
        self._workers = ThreadPoolExecutor(max_workers=32, thread_name_prefix="harness-docker")
        self._checked = False

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
                labels={OWNER_LABEL: str(self._owner)},
                engine=engine_identity(self._facts),
                translate=self.containers.translate,
            )
        if problems := images.problems(facts):
            raise ImageError(f"the image {name} cannot be used: " + "; ".join(problems))
        if self._podman and not self._checked:
            self.containers.try_to_create(facts.image)
            self._checked = True
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
        stream = self.containers.start(
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
        self._volumes.create(name, temporary=temporary, katas=katas)

    def volumes(self) -> Sequence[Volume]:
        return self._volumes.list()

    def remove_volume(self, name: str) -> None:
        self._volumes.remove(name)

    def traces(self) -> Sequence[str]:
        with explaining("the containers cannot be listed"):
            return [f"container {container[:12]}" for container in self.containers.alive()]

    def leftovers(self) -> Sequence[str]:
        return self._left.find()

    def sweep(self) -> Sequence[str]:
        return self._left.sweep()

    def left_alone(self) -> Sequence[tuple[str, str]]:
        return self._left.doubts()

    def close(self) -> None:
        if not self._origin.is_here():
            return
        self._workers.shutdown(wait=True)
        self.containers.end_all()
        self.api.close()
        if self._filter:
            self._filter.close()

    def _open(self, spec: SandboxSpec) -> Stream:
        limits = spec.limits
        owner = f"uid={spec.uid},gid={spec.gid}"
        become = ["setpriv", f"--reuid={spec.uid}", f"--regid={spec.gid}", "--clear-groups"]
        player = [*become, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]
        image = self._images.find(spec.image or images.RUN_IMAGE)
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
            return self.containers.start(
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
            self._images.forget(image)
            raise

    def _way(self, mount: Mount) -> DockerMount:
        """Return how to make a mount. Raises EngineError if it is of an unknown kind."""
        way = DOCKER_MOUNTS.get(type(mount))
        if way is None:
            raise EngineError(unknown_mount(self.name, type(mount)))
        return way


def _filters(facts: Mapping[str, Any]) -> bool:
    return any(option.startswith("name=seccomp") for option in facts.get("SecurityOptions") or ())


def _gaps(facts: Mapping[str, Any]) -> Iterator[str]:
    """Say what this engine's kernel cannot bound or filter."""
    if not _filters(facts):
        yield "system calls are not filtered (the engine's kernel has no seccomp)"
    for key, what in {"MemoryLimit": "memory", "PidsLimit": "processes"}.items():
        if facts.get(key) is False:
            yield f"{what} of a run cannot be bounded (see docker info)"
