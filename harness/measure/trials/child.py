"""Plays test events for another process, with the harness of the Python that runs this file.

It is run by its path, by the Python of another environment, and not imported: what it uses of the harness is the
library's front door, which other versions have too, those from before this file existed included. The protocol is
a line of JSON each way: first what to open, answered by who answers; then {"do": METHOD, "max_seconds": S} again
and again, each answered by the run, or by {"error": LINE}; `rest` is a head start, answered by nothing. It ends with its input.
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
    os.dup2(2, 1)  # whatever prints, prints elsewhere
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
    """A runner, and the avatars that have played with it."""

    def __init__(self, wanted: dict[str, Any], stack: ExitStack) -> None:
        import harness  # noqa: PLC0415 - which one it is, is for the Python that runs this to say

        self._harness, self._wanted, self._stack = harness, wanted, stack
        self._avatars = 0
        self._open()

    def play(self, do: str, max_seconds: float) -> dict[str, Any]:
        """One test event, as an arm of trials plays it."""
        if do == "rest":
            self._runner.prepare(self._avatar)
            return {}
        if do == "first":
            self._open()
        if do != "incremental":
            self._avatars += 1
        from_folder = self._harness.VisibleFiles.from_folder
        # The tree was filtered when it was laid out; versions up to 0.1 do not know that they could.
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
    """As JSON can have it: paths are text in which every byte survives."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
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
