"""Requests to an engine without docker-py: every way to reach one, every way in which it can refuse
or die.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker.errors
import docker.tls
import pytest

from harness.engines.docker.endpoint import Connection, Endpoint

OK = b"HTTP/1.1 201 Created\r\nContent-Length: 13\r\n\r\n" + b'{"Id": "abc"}'
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

WAYS = ("unix", "tcp", "tls")


def refused(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


class Engine:
    """Listens, and gives each request of one connection the next of its answers."""

    def __init__(self, way: str, folder: Path) -> None:
        self.answers: list[bytes] = []
        self.requests: list[bytes] = []
        self._tls: ssl.SSLContext | None = None
        if way == "unix":
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(folder / "engine.sock"))
            self._listener.listen()
            self.endpoint = Endpoint(f"unix://{folder}/engine.sock")
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            host = f"tcp://localhost:{self._listener.getsockname()[1]}"
            self.endpoint = Endpoint(host)
            if way == "tls":
                certificate = make_certificate(folder)
                self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._tls.load_cert_chain(*certificate)
                self._tls.load_verify_locations(certificate[0])
                self._tls.verify_mode = ssl.CERT_REQUIRED
                self.endpoint = Endpoint(
                    host, docker.tls.TLSConfig(certificate, certificate[0], verify=True)
                )
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with (
                connection,
                contextlib.suppress(OSError),
            ):  # of a client that does not trust it, or has gone
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                with connection:
                    for answer in self.answers:
                        self.requests.append(request_of(connection))
                        connection.sendall(answer)


def request_of(connection: socket.socket) -> bytes:
    """One whole request, or a piece of a stream."""
    data = connection.recv(1 << 16)
    length = re.search(rb"Content-Length: (\d+)", data)
    while length and len(data.partition(b"\r\n\r\n")[2]) < int(length[1]):
        data += connection.recv(1 << 16)
    return data


def make_certificate(folder: Path) -> tuple[str, str]:
    """One that both sides use and trust: the files of the certificate and of its key."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl program here to make a certificate with")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += [
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return str(certificate), str(key)


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with closing(Engine(getattr(request, "param", "unix"), tmp_path)) as opened:
        yield opened


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with closing(Connection(engine.endpoint, "1.41")) as opened:
        yield opened


@pytest.mark.parametrize("engine", WAYS, indirect=True)
def test_one_connection_serves_several_requests_and_becomes_a_stream(
    engine: Engine, connection: Connection
) -> None:
    """The requests are those of the API's version, and the stream is nobody else's afterwards."""
    engine.answers = [OK, NOTHING, UPGRADED, b"the stream's own"]
    assert connection.post("/containers/create", {"Image": "one"}) == {"Id": "abc"}
    assert connection.post("/containers/abc/start") is None
    connection.upgrade("/containers/abc/attach?stdin=1")
    with connection.detach() as stream:
        connection.close()
        stream.sendall(b"hello")
        assert stream.recv(100) == b"the stream's own"
    first, *_, last = engine.requests
    assert first.startswith(b"POST /v1.41/containers/create HTTP/1.1\r\n")
    assert first.endswith(b'\r\n\r\n{"Image": "one"}')
    assert last == b"hello"


@pytest.mark.parametrize("engine", WAYS, indirect=True)
def test_an_engine_is_knocked_at(engine: Engine) -> None:
    engine.answers = [NOTHING]
    engine.endpoint.knock()
    assert engine.requests[0].startswith(b"GET /_ping")


@pytest.mark.parametrize("engine", ["tls"], indirect=True)
def test_an_engine_with_another_certificate_is_not_trusted(engine: Engine, tmp_path: Path) -> None:
    """Unless verification was not asked for, which is what docker-py does too."""
    other = tmp_path / "other"
    other.mkdir()
    authority, _ = make_certificate(other)
    mine = (str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"))
    with pytest.raises(ssl.SSLCertVerificationError):
        Endpoint(engine.endpoint.host, docker.tls.TLSConfig(mine, authority, verify=True)).dial(5)
    Endpoint(engine.endpoint.host, docker.tls.TLSConfig(mine, authority, verify=False)).dial(
        5
    ).close()


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (
            refused("404 Not Found", b'{"message": "No such image: one:latest"}'),
            docker.errors.ImageNotFound,
            "No such image: one:latest",
        ),
        (refused("409 Conflict", b'{"message": "in use"}'), docker.errors.APIError, "in use"),
        (
            refused("404 Not Found", b"page not found\n"),
            docker.errors.APIError,
            "404 page not found",
        ),
        (refused("500 Oh", b'["message"]'), docker.errors.APIError, '500 ["message"]'),
    ],
)
def test_a_refusal_says_why(
    answer: bytes,
    kind: type[docker.errors.APIError],
    said: str,
    engine: Engine,
    connection: Connection,
) -> None:
    """The engine's own word, or what came instead; and the connection can be used on."""
    engine.answers = [answer, OK]
    with pytest.raises(docker.errors.APIError) as error:
        connection.post("/containers/create", {})
    assert type(error.value) is kind
    assert error.value.explanation == said
    assert connection.post("/containers/create", {}) == {"Id": "abc"}


@pytest.mark.parametrize("kept", [0, 9, len(OK) - 1])
def test_an_engine_that_dies_in_its_answer(
    kept: int, engine: Engine, connection: Connection
) -> None:
    engine.answers = [OK[:kept]]
    with pytest.raises(ConnectionError):
        connection.post("/containers/create", {})


def test_an_engine_that_gives_no_stream(engine: Engine, connection: Connection) -> None:
    engine.answers = [OK]
    with pytest.raises(ConnectionError, match="answered 201 instead of opening a stream"):
        connection.upgrade("/containers/abc/attach")


@pytest.mark.parametrize("host", ["unix:///nowhere/engine.sock", "tcp://127.0.0.1:9"])
def test_nobody_listens(host: str) -> None:
    """No socket is leaked, which would be a warning, which is an error."""
    endpoint = Endpoint(host)
    with pytest.raises(OSError, match=r"No such file|refused"):
        endpoint.knock()
