"""Parse the command line, run the command, and turn errors into one line and an exit status."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any, NoReturn

from harness.cli.status import BROKEN, SIGNALLED, USAGE
from harness.inside.errors import HarnessError, closest
from harness.report.plain import shown

COMMANDS = (
    "compare",
    "compare-results",
    "scale",
    "load",
    "gate",
    "bisect",
    "history",
    "verify",
    "soak",
    "run",
    "katas",
    "report",
    "plot",
    "export",
    "doctor",
    "image",
    "clean",
    "completion",
)
"""The commands in the order of the help. Each is a module of `harness.cli`, with `_` for `-`."""


_interrupted = threading.Event()
"""Set once ctrl-C was pressed."""


class Terminated(BaseException):
    """SIGTERM came, from a time limit or a CI system, or SIGHUP, from a closed terminal.

    Like KeyboardInterrupt it unwinds everything, so that everything is cleaned up. Its one
    argument is the signal's number.
    """


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - a status for each end
    """Run the console script `harness`; returns the exit status."""
    _fill_streams()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
        # Where ctrl-C is ignored, as in the background of a script, it stays so.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            _interrupted.clear()
            signal.signal(signal.SIGINT, _interrupt)
        # Under nohup it is ignored, and stays so.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, _terminate)
    try:
        # Inside the handlers, since its imports take a moment.
        given = sys.argv[1:] if arguments is None else arguments
        parsed = make_parser(given).parse_args(given)
        status: int = parsed.command_function(parsed)
    except HarnessError as error:
        for note in getattr(error, "__notes__", ()):
            print(shown(note), file=sys.stderr)
        _say(str(error))
        return USAGE
    except KeyboardInterrupt:
        return _tell_interrupted()
    except Terminated as ended:
        with contextlib.suppress(OSError):  # the terminal may be gone
            _say("terminated; everything that was started has been cleaned up")
        return SIGNALLED + int(ended.args[0])
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone; keep Python from printing a traceback about it
        return 0
    except OSError as error:
        _say(f"{os.fsdecode(error.filename or 'the output')}: {error.strerror or error}")
        return USAGE
    except Exception as error:
        if _interrupted.is_set():
            # Inside the import of a C extension, KeyboardInterrupt became an ImportError.
            return _tell_interrupted()
        if line := _extra_missing(error):
            _say(line)
            return USAGE
        sys.stderr.write(shown(traceback.format_exc()))
        _say("this is a bug in the harness, not your mistake; please report the lines above")
        return BROKEN
    return status


def _extra_missing(error: Exception) -> str:
    """Say which extra to install, if a module that one has is missing."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    from harness.engines.extras import missing_extra  # noqa: PLC0415 - slow to import

    return missing_extra(error)


def _fill_streams() -> None:
    """Open /dev/null for each standard stream that is closed, as some services start programs.

    Otherwise the next file opened would take the stream's number and receive what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            os.set_inheritable(number, True)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - stays open
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def _say(line: str) -> None:
    """Print the one line of an error."""
    print(f"harness: {shown(line)}", file=sys.stderr)


def _tell_interrupted() -> int:
    _say("interrupted; everything that was started has been cleaned up")
    return SIGNALLED + signal.SIGINT


def _interrupt(number: int, frame: object) -> None:
    _interrupted.set()
    raise KeyboardInterrupt


def _terminate(number: int, frame: object) -> None:
    raise Terminated(number)


_CHOICES = re.compile(r"invalid choice: '(?P<wrong>.*)' \(choose from (?P<right>.*)\)")
"""What argparse says of a value that is none of its choices."""


class Parser(argparse.ArgumentParser):
    """An argument parser that says in one line what is wrong."""

    def parse_known_args(self, *arguments: Any, **named: Any) -> Any:
        """Refuse here what no option takes, so that the command says so, and not `harness`."""
        options, left = super().parse_known_args(*arguments, **named)
        if left:
            known = [
                text
                for text, action in self._option_string_actions.items()
                if text.startswith("--") and action.help != argparse.SUPPRESS
            ]
            close = closest(left[0].partition("=")[0], known) if left[0].startswith("-") else ""
            guess = f"; did you mean {close}?" if close else ""
            self.error(f"unrecognized arguments: {' '.join(left)}{guess}")
        return options, left

    def error(self, message: str) -> NoReturn:
        if slip := _CHOICES.search(message):
            wrong, right = slip["wrong"], re.findall(r"[\w-]+", slip["right"])
            if close := closest(wrong, right):
                message += f"; did you mean {close}?"
        end = "" if message.endswith("?") else ";"
        self.exit(USAGE, f"{self.prog}: {shown(message)}{end} see {self.prog} --help\n")


def make_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of `harness`, with one for each of the COMMANDS.

    If the arguments name a command, only that one has a parser, since the imports of the others
    take a second.
    """
    named = next((argument for argument in arguments if not argument.startswith("-")), None)
    parser = Parser(
        prog="harness",
        description="How should a source tree travel into a container and back? Proofs and "
        "measurements.",
    )
    parser.add_argument(
        "--version", action="version", version=f"harness {version('tarpipe-harness')}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    needed = [named] if named in COMMANDS else [] if "--version" in arguments else COMMANDS
    for command in needed:
        import_module(f"harness.cli.{command.replace('-', '_')}").add(commands)
    return parser
