"""Where an engine listens, and fast requests to it.

All else goes through docker-py. But each of its requests costs more than a millisecond of processor
time, and each test event makes three.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import docker.context
import docker.errors
import docker.tls
import docker.utils

from harness.inside.errors import EngineError

KNOCK_SECONDS = 10.0
"""Seconds that an engine may take to answer at all."""

REQUEST_SECONDS = 60.0
"""Seconds that it may take for one request."""

_UNIX = "http+unix://"


@dataclass(frozen=True)
class Endpoint:
    """A host, and how to trust it."""

    host: str
    """The host, as in DOCKER_HOST."""

    tls: docker.tls.TLSConfig | None = None
    """The certificates. None: no TLS, or the system's certificates."""

    @classmethod
    def find(cls) -> Endpoint:
        """Return that of DOCKER_HOST, or else that of the docker program's current context.

        Raises EngineError if there is no such context.
        """
        if host := os.environ.get("DOCKER_HOST"):
            return cls(host, docker.utils.kwargs_from_env().get("tls"))
        name = os.environ.get("DOCKER_CONTEXT")
        context = docker.context.ContextAPI.get_context(name)
        if context is None:
            called = name or "with the name in ~/.docker/config.json"
            raise EngineError(
                f"there is no Docker context {called}; `docker context ls` lists them"
            )
        return cls(context.Host or "unix:///var/run/docker.sock", context.TLSConfig)

    def dial(self, seconds: float) -> socket.socket:
        """Connect. Nothing on the connection may take longer than `seconds`.

        Raises OSError, and DockerException for a malformed host.
        """
        url = str(docker.utils.parse_host(self.host, tls=bool(self.tls)))
        if url.startswith(_UNIX):
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(seconds)
                # docker-py reads the path so, too.
                connection.connect("/" + url.removeprefix(_UNIX).lstrip("/"))
            except BaseException:
                connection.close()
                raise
            return connection
        where = urlsplit(url)
        connection = socket.create_connection((where.hostname or "", where.port or 0), seconds)
        if where.scheme == "http":
            return connection
        try:
            return _trust(self.tls).wrap_socket(connection, server_hostname=where.hostname)
        except BaseException:
            connection.close()
            raise

    def knock(self) -> None:
        """Raise OSError unless an engine answers, and DockerException for a malformed host.

        docker-py would wait as long as a run may take, and leak the socket of a failed connection.
        """
        with self.dial(KNOCK_SECONDS) as knocking:
            knocking.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            knocking.recv(1)


class Connection(http.client.HTTPConnection):
    """A connection to an engine, for one request after another, until it becomes a stream.

    Each request raises APIError if the engine refuses it, and OSError if there is no answer.
    """

    def __init__(self, endpoint: Endpoint, version: str) -> None:
        """`version` is that of the API. The first request connects."""
        super().__init__("docker", timeout=REQUEST_SECONDS)
        self._endpoint, self._version = endpoint, version

    def connect(self) -> None:
        self.sock = self._endpoint.dial(REQUEST_SECONDS)

    def post(self, path: str, body: object = None) -> Any:
        """Send `body` as JSON, and return the answer; None if it is empty."""
        data = None if body is None else json.dumps(body).encode()
        _, answer = self._post(path, data, {"Content-Type": "application/json"})
        return json.loads(answer) if answer else None

    def upgrade(self, path: str) -> None:
        """Turn the connection into a stream, by a request to attach."""
        status, _ = self._post(path, None, {"Connection": "Upgrade", "Upgrade": "tcp"})
        if status != HTTPStatus.SWITCHING_PROTOCOLS:
            raise ConnectionError(f"the engine answered {status} instead of opening a stream")

    def detach(self) -> socket.socket:
        """Return the connection's socket. From now on the caller closes it."""
        stream, self.sock = self.sock, None
        return stream

    def _post(self, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            self.request("POST", f"/v{self._version}{path}", body, headers)
            with self.getresponse() as response:
                answer = response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"the engine's answer was cut: {error!r}") from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(response.status, answer)
        return response.status, answer


def _trust(tls: docker.tls.TLSConfig | None) -> ssl.SSLContext:
    """Return the TLS context. Like docker-py, verify only if asked to."""
    context = ssl.create_default_context(cafile=tls.ca_cert if tls else None)
    if tls and not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls and tls.cert:
        context.load_cert_chain(*tls.cert)
    return context


def _refusal(status: int, answer: bytes) -> docker.errors.APIError:
    try:
        message = str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        message = f"{status} {answer.decode(errors='replace').strip()}"
    missing = status == HTTPStatus.NOT_FOUND and "no such image" in message.lower()
    return (docker.errors.ImageNotFound if missing else docker.errors.APIError)(
        message, explanation=message
    )
