"""harness completion: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shtab


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "completion",
        help="print a script that completes harness in your shell",
        description="Print a script with which a shell completes commands, options and their "
        'values. Bash: eval "$(harness completion bash)" in ~/.bashrc. Zsh: write it to a file '
        "_harness in a folder of $fpath.",
    )
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, help="the shell")
    parser.set_defaults(command_function=_completion)


def _completion(options: argparse.Namespace) -> int:
    from harness.cli.entry import make_parser  # noqa: PLC0415 - which imports this module

    parser = make_parser()
    for action in _actions(parser):
        if action.type is Path:
            vars(action)["complete"] = shtab.FILE  # which shtab looks for
    print(shtab.complete(parser, shell=options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the actions of the parser and of all parsers below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
