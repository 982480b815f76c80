"""The Docker engine, 20.10 and later, through its API."""

from __future__ import annotations

import contextlib
import random
import shlex
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import docker
import docker.errors
import docker.types
import requests.exceptions

from harness.engines import Volume, part_of
from harness.engines.bootstrap import BOOTSTRAP, send_program
from harness.engines.docker import images
from harness.engines.docker.endpoint import Connection, Endpoint
from harness.engines.docker.images.facts import SANDBOX, VOLUME
from harness.engines.docker.images.lookup import find_image
from harness.engines.docker.podman import (
    Filter,
    Podman,
    engine_identity,
    explained,
    is_going,
    is_momentary,
)
from harness.engines.guest.caches import Caches
from harness.engines.guest.command_line import guest_arguments
from harness.engines.guest.environment import players, trusted
from harness.engines.guest.sandbox import Sandbox
from harness.engines.overlays import overlay_options, overlay_refusal
from harness.engines.owner import KATAS, OWNER_LABEL, TEMPORARY, Owner
from harness.engines.seccomp import profile
from harness.engines.spec import (
    NOBODY,
    Limits,
    Mount,
    Overlay,
    PartOfVolume,
    SandboxSpec,
    WholeVolume,
)
from harness.engines.streams import Stream
from harness.engines.streams.attached import DockerStream
from harness.engines.streams.forks import Origin
from harness.engines.usage import CONTAINER
from harness.inside.errors import EngineError, ImageError, UsageError

PRIVATE = "/run/harness"

ATTACH = "stdin=1&stdout=1&stderr=1&stream=1&detachKeys="
"""Without the keys of a terminal, by which Podman ends any stream that has them in it."""

RUN_CAPABILITIES = ["SETUID", "SETGID", "SETPCAP", "KILL", "DAC_READ_SEARCH"]
"""Of the guest alone, to become the player, to end it, and to read what it made unreadable. The player has
none.
"""

KEEPER_CAPABILITIES = ["DAC_OVERRIDE", "FOWNER", "FSETID", "CHOWN"]
"""To read, replace and remove what a run made unreadable, to hand over what a run is to write in a mounted volume, and to leave
it its set-id bits on the way.
"""

KEEPER_SECONDS = 60.0
"""How long a keeper may take to start, on a slow storage driver too."""

SUBPATH_API = "1.45"
"""The first version of the engine's interface that knows volume-subpath."""

SWEEPER = """
while kill -9 -1; do
    for each in /proc/[0-9]*; do
        [ ! -O "$each" ] || [ "$each" = "/proc/$$" ] || continue 2
    done
    exit 0
done"""
"""Run as the player: kills whatever else it has, and returns when all of it has ended."""

SWEPT = """
left=
for each in /proc/[0-9]*; do
    state= owner=0
    while read -r key value rest; do
        case $key in
        State:) state=$value ;;
        Uid:) owner=$value ;;
        Threads:) break ;;
        esac
    done <"$each/status"
    [ "$owner" = 0 ] && continue
    case $state$value in
    [ZX][01]) ;; # what has ended, and waits to be reaped
    *) kill -9 "${each#/proc/}"; left=yes ;;
    esac
done 2>/dev/null
[ -z "$left" ]"""
"""The guest's own shell kills each process of another user, with no process that a run could hold.

It reads `Uid` and not the owner of the files in /proc, which `PR_SET_DUMPABLE` changes. A process whose
first thread has ended is a zombie to `State`; only `Threads` tells that others of it still run.
"""

TRIES, PAUSE_SECONDS = 8, 0.2
"""How often a container is asked for that an engine could not make for the moment, and how long at most it is left alone
between.
"""

REMOVAL_SECONDS = 20.0
"""How long to wait for a container to go: the engine removes it some time after its last process has ended.
"""


class DockerEngine:
    """One Docker engine, reached by its socket."""

    name = "docker"
    isolates = True
    player: tuple[int, int] | None = (NOBODY, NOBODY)

    def __init__(self, host: str | None = None) -> None:
        """Connect. Raises EngineError when no engine answers there."""
        with _speaking(
            "where the Docker engine is cannot be told; see DOCKER_HOST and `docker context ls`"
        ):
            self._endpoint = Endpoint(host) if host else Endpoint.find()
            self.host = self._endpoint.host
        if self.host.startswith("ssh://"):
            raise EngineError(
                "ssh:// is not supported: its streams cannot be half-closed; forward the socket instead "
                "(ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST) and set DOCKER_HOST=unix:///tmp/engine.sock"
            )
        with _speaking(f"no Docker engine answers at {self.host}; start one, or set DOCKER_HOST"):
            self._endpoint.knock()
            self.api = docker.APIClient(
                base_url=self.host, version="auto", timeout=60, tls=self._endpoint.tls or False
            )
            self._facts = self.api.info()
            self._podman = Podman.detect(self._facts, self.host)
        self._filter: Filter | None = None
        self._origin = Origin()
        self._security = ["no-new-privileges"]
        if _filters(self._facts):  # else it refuses whatever is asked for
            if not self._podman:
                self._security.append(f"seccomp={profile()}")
            elif self._podman.here:
                self._filter = Filter()
                self._security.append(f"seccomp={self._filter.path}")
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
        with _speaking(f"the image {name} cannot be examined"):
            facts = images.probe(
                self.api,
                name,
                labels={OWNER_LABEL: self._owner},
                engine=engine_identity(self._facts),
                translate=self._translate,
            )
        if found := images.problems(facts):
            raise ImageError(f"the image {name} cannot be used: " + "; ".join(found))
        if self._podman and not self._checked:
            self._check_podman(facts.image)
        return name

    def open(self, spec: SandboxSpec) -> Sandbox:
        self._origin.require("engine")
        if isinstance(
            spec.mount, Overlay
        ):  # nobody may write to what is mounted so: it starts when it is used
            return Sandbox(lambda: self._open(spec), spec.limits)
        try:
            future = self._workers.submit(self._open, spec)
        except RuntimeError as error:
            raise UsageError("this engine is closed; open another one") from error
        return Sandbox(lambda: future.result(spec.limits.event_seconds), spec.limits)

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        self._origin.require("engine")
        with _speaking("the keeper's image cannot be made"):
            images.ensure(self.api, images.KEEPER_IMAGE, report=lambda line: None)
        stream = self._start(
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
        if self._podman and (why := self._podman.refusal(mount)):
            return why
        if issubclass(mount, PartOfVolume) and docker.utils.version_lt(
            self.api.api_version, SUBPATH_API
        ):
            return (
                f"this engine (API {self.api.api_version}) ignores volume-subpath and would mount everybody's files: it takes "
                f"Docker 26 (API {SUBPATH_API}); take katas-data-container instead"
            )
        if issubclass(mount, Overlay):
            return overlay_refusal(str(self._facts["KernelVersion"]))
        return ""

    def create_volume(self, name: str, *, temporary: bool, katas: str = "") -> None:
        labels = {OWNER_LABEL: self._owner, KATAS: katas or name} | (
            {TEMPORARY: "yes"} if temporary else {}
        )
        with _speaking(f"the volume {name} cannot be made"):
            try:
                found = self.api.inspect_volume(name)
            except docker.errors.NotFound:
                self.api.create_volume(name, labels=labels)
            else:
                if OWNER_LABEL not in (found.get("Labels") or {}):
                    raise UsageError(f"the volume {name} is not the harness's; choose another name")

    def volumes(self) -> Sequence[Volume]:
        with _speaking("the volumes cannot be listed"):
            found = self.api.volumes(filters={"label": OWNER_LABEL})["Volumes"] or []
        return [
            Volume(
                each["Name"],
                TEMPORARY in each["Labels"],
                part_of(each["Name"], each["Labels"].get(KATAS)),
            )
            for each in found
        ]

    def remove_volume(self, name: str) -> None:
        deadline = time.monotonic() + REMOVAL_SECONDS
        with _speaking(f"the volume {name} cannot be removed"):
            while True:
                try:
                    return self.api.remove_volume(name)
                except docker.errors.NotFound:
                    return None
                except docker.errors.APIError as error:
                    # Its keeper ends asynchronously, and holds the volume until it has gone.
                    if error.status_code != HTTPStatus.CONFLICT or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)

    def traces(self) -> Sequence[str]:
        with _speaking("the containers cannot be listed"):
            return [f"container {each[:12]}" for each in self._alive()]

    def leftovers(self) -> Sequence[str]:
        containers, volumes = self._left()
        return [f"container {each}" for each in containers] + [f"volume {each}" for each in volumes]

    def sweep(self) -> Sequence[str]:
        containers, volumes = self._left()
        with _speaking("what a crash left cannot be removed"):
            for each in containers:
                self._remove(each)
        for each in volumes:
            self.remove_volume(each)
        return [f"container {each}" for each in containers] + [f"volume {each}" for each in volumes]

    def left_alone(self) -> Sequence[tuple[str, str]]:
        containers, volumes = self._temporary()
        found = [(f"container {name}", owner.fate().doubt) for name, owner in containers]
        found += [(f"volume {name}", owner.fate().doubt) for name, owner in volumes]
        return [(what, doubt) for what, doubt in found if doubt]

    def close(self) -> None:
        if not self._origin.is_here():
            return
        self._workers.shutdown(wait=True)
        deadline = time.monotonic() + REMOVAL_SECONDS
        with contextlib.suppress(EngineError), _speaking("the containers cannot be listed"):
            while time.monotonic() < deadline:
                if not self._alive():
                    break
                time.sleep(0.02)
            for each in self._started if time.monotonic() >= deadline else ():
                with contextlib.suppress(docker.errors.APIError):
                    self._remove(each)
        self.api.close()
        if self._filter:
            self._filter.close()

    def _translate(self, config: dict[str, Any]) -> dict[str, Any]:
        """The request for a container in the engine's own words."""
        return self._podman.translate(config) if self._podman else config

    def _check_podman(self, image: str) -> None:
        """Make a container as a run's is made, and start none: what Podman lacks, it lacks for each. Raises EngineError."""
        with _speaking("no run-container can be made"):
            api: Any = self.api  # the stubs leave the call without types
            config = self._config(
                image, entrypoint=["/bin/sh"], mounts=[], cap_add=RUN_CAPABILITIES, tmpfs={}
            )
            made = api.create_container_from_config(self._translate(config))
            self._remove(str(made["Id"]))
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
        if spec.mount is None:
            tmpfs[SANDBOX] = f"exec,mode=0755,{owner},size={limits.sandbox}"
        elif isinstance(spec.mount, WholeVolume):
            mounts.append(
                docker.types.Mount(VOLUME, spec.mount.volume, type="volume", no_copy=True)
            )
            sandbox = f"{VOLUME}/{spec.mount.sandbox}"
        elif isinstance(spec.mount, PartOfVolume):
            part = docker.types.Mount(SANDBOX, spec.mount.volume, type="volume", no_copy=True)
            part["VolumeOptions"]["Subpath"] = spec.mount.folder  # docker-py has no name for it
            mounts.append(part)
        elif isinstance(spec.mount, Overlay):
            mounts.append(self._overlay(spec.mount))
        else:
            mounts.append(docker.types.Mount(SANDBOX, str(spec.mount), type="bind"))
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
            return self._start(
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
            self._images.pop(image.name, None)  # made anew, maybe: then the next one finds it
            raise

    def _image(self, name: str) -> _Image:
        """The image that the name is of, found once: what was examined is what runs."""
        image = self._images.get(name)
        if image is None:
            with _speaking(f"the image {name} cannot be examined"):
                found = find_image(self.api, name)
            if found is None:
                raise ImageError(
                    f"the run-container cannot be started: there is no image {name} on this engine; "
                    "`harness image build` makes the harness's own"
                )
            config = found.get("Config") or {}
            image = _Image(
                name,
                str(found["Id"]),
                tuple(config.get("Env") or ()),
                bool(config.get("Healthcheck")),
            )
            self._images[name] = image
        return image

    def _overlay(self, mount: Overlay) -> docker.types.Mount:
        """A volume without a name, which is mounted when the container starts and goes with it."""
        with _speaking(f"the volume {mount.volume} cannot be found"):
            root = str(self.api.inspect_volume(mount.volume)["Mountpoint"])
        options = overlay_options(root, mount)
        driver = docker.types.DriverConfig(
            "local", {"type": "overlay", "device": "overlay", "o": options}
        )
        return docker.types.Mount(SANDBOX, None, type="volume", no_copy=True, driver_config=driver)

    def _start(
        self,
        what: str,
        **asked: Any,
    ) -> DockerStream:
        """`asked` is what the container is to be; see `_config`."""
        control, attaching = (Connection(self._endpoint, self.api.api_version) for _ in range(2))
        with _speaking(f"{what} cannot be started"), closing(control), closing(attaching):
            config = self._translate(self._config(**asked))
            container = _make(control, config)
            with self._lock:
                self._started.add(container)
            try:
                # Attached before the start, so that no byte of it is lost in the HTTP response's read-ahead.
                attaching.upgrade(f"/containers/{container}/attach?{ATTACH}")
                control.post(f"/containers/{container}/start")
            except BaseException:
                with contextlib.suppress(docker.errors.APIError):
                    self.api.remove_container(container, force=True, v=True)
                raise
            return DockerStream(attaching.detach(), lambda: self._kill(container))

    def _config(
        self,
        image: str,
        *,
        entrypoint: list[str],
        mounts: list[docker.types.Mount],
        cap_add: list[str],
        tmpfs: dict[str, str],
        variables: Sequence[str] = (),
        checked: bool = False,
        limits: Limits | None = None,
    ) -> dict[str, Any]:
        """The request for a container, in Docker's words."""
        options: dict[str, Any] = {}
        if limits:
            options = {
                "mem_limit": limits.memory,
                "memswap_limit": limits.memory,
                "pids_limit": limits.processes,
                "ulimits": [
                    docker.types.Ulimit(name="core", soft=0, hard=0),
                    docker.types.Ulimit(name="fsize", soft=limits.file, hard=limits.file),
                    docker.types.Ulimit(
                        name="nofile", soft=limits.open_files, hard=limits.open_files
                    ),
                ],
            }
        config: dict[str, Any] = self.api.create_container_config(
            image,
            entrypoint=entrypoint,
            command=[],
            user="0:0",
            working_dir="/",
            stdin_open=True,
            labels={OWNER_LABEL: self._owner},
            environment=trusted(variables),
            healthcheck=docker.types.Healthcheck(test=["NONE"]) if checked else None,
            host_config=self.api.create_host_config(
                auto_remove=True,
                init=True,
                read_only=True,
                network_mode="none",
                cap_drop=["ALL"],
                cap_add=cap_add,
                security_opt=self._security,
                log_config=docker.types.LogConfig(type="none"),
                mounts=mounts,
                tmpfs=tmpfs,
                **options,
            ),
        )
        return config

    def _kill(self, container: str) -> None:
        with contextlib.suppress(
            docker.errors.DockerException, requests.exceptions.RequestException
        ):
            self.api.kill(container)

    def _remove(self, container: str) -> None:
        deadline = time.monotonic() + REMOVAL_SECONDS
        while True:
            try:
                return self.api.remove_container(container, force=True, v=True)
            except docker.errors.APIError as error:
                # It has gone, or is going: with its last process a container removes itself.
                if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                    return None
                if not is_going(str(error.explanation)) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _containers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.containers(all=True, filters={"label": OWNER_LABEL})
        return found

    def _alive(self) -> set[str]:
        return {each["Id"] for each in self._containers()} & self._started

    def _left(self) -> tuple[list[str], list[str]]:
        containers, volumes = self._temporary()
        return (
            [name for name, owner in containers if owner.has_gone()],
            [name for name, owner in volumes if owner.has_gone()],
        )

    def _temporary(self) -> tuple[list[tuple[str, Owner]], list[tuple[str, Owner]]]:
        """The containers and volumes that go with their owners, and whose they are."""
        with _speaking("the containers cannot be listed"):
            containers = [(each["Id"][:12], _owner(each)) for each in self._containers()]
            found = self.api.volumes(filters={"label": TEMPORARY})["Volumes"] or []
            volumes = [(each["Name"], _owner(each)) for each in found]
        return (
            [(name, owner) for name, owner in containers if owner],
            [(name, owner) for name, owner in volumes if owner],
        )


def _owner(found: Mapping[str, Any]) -> Owner | None:
    return Owner.parse((found.get("Labels") or {}).get(OWNER_LABEL, ""))


def _filters(facts: Mapping[str, Any]) -> bool:
    return any(each.startswith("name=seccomp") for each in facts.get("SecurityOptions") or ())


def _gaps(facts: Mapping[str, Any]) -> Iterator[str]:
    """What this engine would bound if its kernel could."""
    if not _filters(facts):
        yield "system calls are not filtered (the engine's kernel has no seccomp)"
    for key, what in {"MemoryLimit": "memory", "PidsLimit": "processes"}.items():
        if facts.get(key) is False:
            yield f"{what} of a run cannot be bounded (see docker info)"


def _make(control: Connection, config: Mapping[str, Any]) -> str:
    """Make this container; returns its id."""
    tries = 1
    while True:
        try:
            return str(control.post("/containers/create", config)["Id"])
        except docker.errors.APIError as error:
            if tries == TRIES or not is_momentary(str(error.explanation)):
                raise
        tries += 1
        time.sleep(random.uniform(0, PAUSE_SECONDS))  # so that those who met do not meet again


@dataclass(frozen=True)
class _Image:
    name: str
    identity: str  # its id, "sha256:..."
    variables: tuple[str, ...]  # NAME=VALUE
    checked: (
        bool  # whether it has a health check, which would be run as root, beside the player's files
    )


@contextlib.contextmanager
def _speaking(what: str) -> Iterator[None]:
    """Turn the many ways in which a conversation with the engine fails into one clear line."""
    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise ImageError(
            f"{what}: {error.explanation or error}; `harness image build` makes the default one"
        ) from error
    except docker.errors.APIError as error:
        raise EngineError(f"{what}: {explained(str(error.explanation or error))}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise EngineError(f"{what} ({_innermost(error)})") from error


def _innermost(error: BaseException) -> str:
    """The first cause says more than the library's wrapping of a wrapping."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
