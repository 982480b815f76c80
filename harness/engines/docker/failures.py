"""Turn the many ways in which a conversation with an engine fails into one clear line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import docker.errors
import requests.exceptions

from harness.engines.docker.podman import explained
from harness.inside.errors import EngineError, ImageError


@contextlib.contextmanager
def explaining(what: str) -> Iterator[None]:
    """Raise EngineError, or ImageError for a missing image, that begins with `what`."""
    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise ImageError(
            f"{what}: {error.explanation or error}; `harness image build` makes the default one"
        ) from error
    except docker.errors.APIError as error:
        raise EngineError(f"{what}: {explained(str(error.explanation or error))}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise EngineError(f"{what} ({_first_cause(error)})") from error


def _first_cause(error: BaseException) -> str:
    """Return what the first cause says: the library wraps it several times."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
