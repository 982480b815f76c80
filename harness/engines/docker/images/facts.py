"""What an image can do, and what that means for a run: pure functions on a frozen value."""

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
"""What each flavour says of itself when it is asked for its version, or refuses to tell."""

_NEEDED = {
    "setpriv": "the player's code could not be separated from the process that holds the streams; install util-linux",
    "head": "what arrives could not be cut to its length to the byte (head -c reads on past it); install coreutils",
    "stdbuf": "what a run prints would be lost (stdbuf -o0); install coreutils, or remove it",
    "mkfifo": "the player's output could not be kept apart from the harness's own streams; install coreutils",
    "timeout": "an endless run would outlive a harness that died (timeout -s KILL); install coreutils",
    "env": "the player's code would inherit the harness's environment (env -i); install coreutils",
    "cat": "output past its limit could not be drained, and the run would hang; install coreutils",
}
"""Without it, what goes wrong in a run, and what to install."""

_WANTED = {
    "find": "observing the tree means to pipe all of it back; install GNU findutils (find -printf)",
    "rm": "`make clean` cannot run in it; install coreutils",
    "make": "the suites that build with make cannot run in it; install make",
    "gcc": "the suites that compile C cannot run in it; install gcc and libc6-dev (musl-dev on Alpine)",
}
"""Without it, what is lost although a run works."""


SANDBOX, VOLUME = "/sandbox", "/katas"
"""Where a run-container has its sandbox: alone, or in a volume."""

_EXEC_FORMAT = "exec format error"
"""How the kernel says that it cannot run a program of another architecture."""


@dataclass(frozen=True)
class ImageFacts:
    """What a probe found in one image on one engine."""

    image: str  # its id, "sha256:..."
    sh: bool = False
    tar: str = ""  # flavour and version, such as "GNU tar 1.34"; empty when there is none
    exact_tar: bool = False  # a stamp came back to the nanosecond from a round trip through it
    tools: frozenset[str] = (
        frozenset()
    )  # those that were tried with the options a run uses, and worked
    make: str = ""  # version; empty when there is none
    gcc: str = ""
    volumes: tuple[str, ...] = ()  # the VOLUMEs that the image declares

    @classmethod
    def parse(cls, image: str, answers: str) -> ImageFacts:
        """The facts in what probe.sh printed. Raises ImageError when it did not get to its end."""
        found = dict(_pairs(answers.splitlines()))
        if found.get("end") != "1":
            raise ImageError(
                f"the image {image} cannot be examined: the probe ended early, its last words were "
                f"{answers.strip()[-100:]!r}; see what `docker run --rm --entrypoint sh {image} -c :` says"
            )
        return cls(
            image=image,
            sh=True,
            tar=_tar(found),
            exact_tar=bool(found.get("packed")) and found.get("packed") == found.get("unpacked"),
            tools=frozenset(name for name in (*_NEEDED, *_WANTED) if found.get(name) == "1"),
            make=found.get("make version", ""),
            gcc=found.get("gcc version", ""),
        )


def problems(facts: ImageFacts) -> list[str]:
    """What would go wrong in a run and what to install, a line each; empty when the image can be used."""
    if not facts.sh:
        return [
            "no sh: nothing in it could be started by the harness; install a POSIX shell such as dash"
        ]
    found = []
    if not facts.tar:
        found.append(
            "no tar: a source tree could neither enter nor leave; install GNU tar in the image"
        )
    elif not facts.exact_tar:
        found.append(
            f"{facts.tar}: stamps would be cut to whole seconds: an edit within the same second is missed; "
            "install GNU tar in the image"
        )
    found += [
        f"its VOLUME {each} lies in the sandbox, as a folder that is not the player's and does not travel; "
        "build the image without it"
        for each in facts.volumes
        if posixpath.normpath(each).startswith((f"{SANDBOX}/", f"{VOLUME}/"))
    ]
    return found + _without(facts, _NEEDED)


def foreign(image: str, platform: str, answers: str) -> str:
    """Why an image cannot run at all that is for another kind of processor, `platform`; empty when that is not it."""
    if _EXEC_FORMAT not in answers.lower():
        return ""
    return (
        f"the image {image} is for {platform or 'another processor'}, and its sh cannot run on this engine's machine "
        f"({_EXEC_FORMAT}): pull or build it with --platform of that machine, or install qemu-user-static there"
    )


def warnings(facts: ImageFacts) -> list[str]:
    """What is lost although a run works, a line each."""
    return _without(facts, _WANTED) if facts.sh else []


def _without(facts: ImageFacts, tools: Mapping[str, str]) -> list[str]:
    return [f"no usable {name}: {why}" for name, why in tools.items() if name not in facts.tools]


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        key, _, value = line.partition("=")
        yield key, value.strip()


def _tar(found: Mapping[str, str]) -> str:
    if found.get("tar") != "1":
        return ""
    said = found.get("tar version", "")
    for flavour, pattern in _TARS.items():
        if match := re.search(pattern, said):
            return f"{flavour} {match[1]}"
    return "a tar of unknown make"
