"""Plays test events for another process, with the harness of the Python that runs this file.

The Python of another environment runs it by its path. It uses only the front door of the harness,
which older versions have too. The protocol is lines of JSON. The first request says what to open,
and the answer is {"ready": VERSION}. Each further request is {"do": METHOD, "max_seconds": S}. The
answer is {"run": RUN}, {} for `rest`, which is a head start, or {"error": LINE}. The process ends
with its input.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from contextlib import ExitStack
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any, TextIO


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what others print must not mix with the answers
    with ExitStack() as stack:
        try:
            player = _Player(json.loads(sys.stdin.readline()), stack)
        except Exception as error:
            return _tell(answers, {"error": one_line(error)})
        _tell(answers, {"ready": version("tarpipe-harness")})
        for line in sys.stdin:
            try:
                answer = player.play(**json.loads(line))
            except Exception as error:
                answer = {"error": one_line(error)}
            _tell(answers, answer)
    return None


class _Player:
    """A runner, and a count of the avatars that have played with it."""

    def __init__(self, wanted: dict[str, Any], stack: ExitStack) -> None:
        import harness  # noqa: PLC0415 - whichever version this Python has

        self._harness, self._wanted, self._stack = harness, wanted, stack
        self._avatars = 0
        self._open()

    def play(self, do: str, max_seconds: float) -> dict[str, Any]:
        """Play one test event as an arm of trials does."""
        if do == "rest":
            self._runner.prepare(self._avatar)
            return {}
        if do == "first":
            self._open()
        if do != "incremental":
            self._avatars += 1
        from_folder = self._harness.VisibleFiles.from_folder
        # The tree was filtered when it was laid out. Versions up to 0.1 lack this parameter.
        options: dict[str, Any] = (
            {"gitignore": False} if "gitignore" in signature(from_folder).parameters else {}
        )
        files = from_folder(Path(self._wanted["folder"]), **options)
        run = self._runner.run(self._avatar, files, max_seconds=max_seconds)
        return {"run": plain(dataclasses.asdict(run))}

    @property
    def _avatar(self) -> Any:
        return self._harness.Avatar(name=f"avatar-{self._avatars}")

    def _open(self) -> None:
        self._stack.close()
        names = ("engine", "image", "command")
        limits = self._harness.Limits(event_seconds=self._wanted["event_seconds"])
        opened = self._harness.open_runner(
            self._wanted["runner"], limits=limits, **{name: self._wanted[name] for name in names}
        )
        self._runner = self._stack.enter_context(opened)
        self._runner.observe = True


def plain(value: Any) -> Any:
    """Convert a value for JSON; in paths every byte survives."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return os.fsdecode(value) if isinstance(value, bytes) else value


def _tell(answers: TextIO, answer: dict[str, Any]) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return (
        text if type(error).__module__.startswith("harness") else f"{type(error).__name__}: {text}"
    )


if __name__ == "__main__":
    main()
