"""What an image can do, and what that means for a run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.inside.errors import ImageError

_TARS = {
    "GNU tar": r"\(GNU tar\) ([\d.]+)",
    "bsdtar": r"bsdtar ([\d.]+)",
    "busybox": r"(?i)busybox\)? v?([\d.]+)",
    "toybox": r"toybox v?([\d.]+)",
}
"""How to recognise a tar and its version, by what it prints for --version."""

_NEEDED = {
    "setpriv": "the player's code could reach the process that holds the streams; "
    "install util-linux",
    "head": "what arrives could not be cut to its exact length (head -c reads past it); "
    "install coreutils",
    "stdbuf": "what a run prints would be lost (stdbuf -o0); install coreutils, or remove it",
    "mkfifo": "the player's output could not be told from the harness's own; install coreutils",
    "timeout": "an endless run would outlive a harness that died (timeout -s KILL); "
    "install coreutils",
    "env": "the player's code would inherit the harness's environment (env -i); install coreutils",
    "cat": "output past its limit could not be drained, and the run would hang; install coreutils",
}
"""The tools that a run needs: what goes wrong without each, and what to install."""

_WANTED = {
    "find": "observing the tree needs all of it piped back; install GNU findutils (find -printf)",
    "rm": "`make clean` cannot run in it; install coreutils",
    "make": "the suites that build with make cannot run in it; install make",
    "gcc": "the suites that compile C cannot run in it; install gcc and libc6-dev "
    "(musl-dev on Alpine)",
}
"""The tools that a run can do without: what is lost without each."""


SANDBOX, VOLUME = "/sandbox", "/katas"
"""Where a run-container has its sandbox, and where it has a volume that holds the sandbox."""

_EXEC_FORMAT = "exec format error"
"""The kernel's error for a program of another architecture."""


@dataclass(frozen=True)
class ImageFacts:
    """What a probe found in one image on one engine."""

    image: str
    """Its id, "sha256:..."."""

    sh: bool = False
    """Whether it has /bin/sh."""

    tar: str = ""
    """Flavour and version, such as "GNU tar 1.34". Empty: it has none."""

    exact_tar: bool = False
    """Whether its tar keeps stamps to the nanosecond in a round trip."""

    tools: frozenset[str] = frozenset()
    """The tools that work with the options that a run uses."""

    make: str = ""
    """Its version of make. Empty: it has none."""

    gcc: str = ""
    """Its version of gcc. Empty: it has none."""

    volumes: tuple[str, ...] = ()
    """The VOLUMEs that it declares."""

    @classmethod
    def parse(cls, image: str, answers: str) -> ImageFacts:
        """Parse what probe.sh printed. Raises ImageError if it did not reach its end."""
        values = dict(_pairs(answers.splitlines()))
        if values.get("end") != "1":
            raise ImageError(
                f"the image {image} cannot be examined: the probe ended early, after "
                f"{answers.strip()[-100:]!r}; see what "
                f"`docker run --rm --entrypoint sh {image} -c :` says"
            )
        return cls(
            image=image,
            sh=True,
            tar=_tar(values),
            exact_tar=bool(values.get("packed")) and values.get("packed") == values.get("unpacked"),
            tools=frozenset(name for name in (*_NEEDED, *_WANTED) if values.get(name) == "1"),
            make=values.get("make version", ""),
            gcc=values.get("gcc version", ""),
        )


def problems(facts: ImageFacts) -> list[str]:
    """Say what would go wrong in a run and what to install, a line each. Empty: it can be used."""
    if not facts.sh:
        return ["no sh: the harness could start nothing in it; install a POSIX shell such as dash"]
    lines = []
    if not facts.tar:
        lines.append(
            "no tar: a source tree could neither enter nor leave; install GNU tar in the image"
        )
    elif not facts.exact_tar:
        lines.append(
            f"{facts.tar} cuts stamps to whole seconds, so make would miss an edit within the same "
            "second; install GNU tar in the image"
        )
    lines += [
        f"its VOLUME {volume} is in the sandbox, where the player does not own it and it is not "
        "piped; build the image without it"
        for volume in facts.volumes
        if posixpath.normpath(volume).startswith((f"{SANDBOX}/", f"{VOLUME}/"))
    ]
    return lines + _without(facts, _NEEDED)


def foreign(image: str, platform: str, answers: str) -> str:
    """Say that the image is for another processor, if the answers show it. Empty: they do not."""
    if _EXEC_FORMAT not in answers.lower():
        return ""
    return (
        f"the image {image} is for {platform or 'another processor'}, and its sh cannot run on "
        f"this engine's machine ({_EXEC_FORMAT}): pull or build it with --platform of that "
        "machine, or install qemu-user-static there"
    )


def warnings(facts: ImageFacts) -> list[str]:
    """Say what is lost although a run works, a line each."""
    return _without(facts, _WANTED) if facts.sh else []


def _without(facts: ImageFacts, tools: Mapping[str, str]) -> list[str]:
    return [f"no usable {name}: {why}" for name, why in tools.items() if name not in facts.tools]


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        key, _, value = line.partition("=")
        yield key, value.strip()


def _tar(values: Mapping[str, str]) -> str:
    if values.get("tar") != "1":
        return ""
    version = values.get("tar version", "")
    for flavour, pattern in _TARS.items():
        if match := re.search(pattern, version):
            return f"{flavour} {match[1]}"
    return "a tar of unknown make"
