r"""The guest's protocol: the one table of its requests, of what follows them, and of their answers.

`guest.sh` serves them, `Sandbox` asks them, and the fake engine serves them in Python. A request is
a line, `WORD` or `WORD ARGUMENT`, and what follows it. Its answer ends in a line `NONCE WORD ...`
after a newline of its own; the nonce is the first line of the conversation.
"""

from __future__ import annotations

from enum import Enum

from harness.inside.changes import LISTING_FORMAT, MARK_FORMAT
from harness.inside.tree import FIND_FORMAT

MARK_SECONDS = 0.02
"""Time between the marks: several ticks of the clock that stamps files."""

DIGESTED = "tree"
"""The link to the sandbox through which files are digested."""

END_OF_CHUNKS = b"0\n"
"""What ends a stream of chunks."""


class Follows(Enum):
    """What follows the line of a request."""

    NOTHING = "nothing"
    COMMAND = "a line: what the player's shell is to run"
    TREE = "chunks of a tar stream"
    PATHS = "chunks of paths, each after ./ and before a NUL"
    FILES = f"chunks of paths, each after {DIGESTED}/ and before a NUL"


class Before(Enum):
    """What comes before the answer."""

    NOTHING = "nothing"
    OUTPUT = "what the player prints; on stderr too, where the same word ends it"
    ENTRIES = f"entries, as find prints them by {FIND_FORMAT}"
    LISTING = f"entries, as find prints them by {LISTING_FORMAT}"
    MARKS = f"the name of the sandbox's file system on a line, then the marks, by {MARK_FORMAT}"
    TREE = "a tar stream"
    DIGESTS = "the BLAKE2b digest of each file, two blanks, its path and a NUL"
    USAGE = "what `harness.engines.usage.ResourceUsage` reads"


class Carries(Enum):
    """What stands after the word of the answer."""

    NOTHING = "nothing"
    STATUS = "the exit status of what was done; unless it is 0, perhaps what was complained of"
    RAN = "the player's exit status, the caches that it left, and why it could not be started"
    STAMP = "seconds since 1970, with nine decimals"


class Request(Enum):
    """A request, whose word is its name in small letters.

    The columns: the words of its argument, what follows its line, what comes before its answer, the
    word of its answer, and what the answer carries. The last is the word of an answer that comes
    ahead of all that: alone, or, if the request was refused, with the reason and nothing after it.
    """

    UNPACK = ((), Follows.TREE, Before.NOTHING, "unpacked", Carries.STATUS)
    READY = ((), Follows.NOTHING, Before.NOTHING, "ready", Carries.NOTHING)
    # Seconds after which the guest kills the player; inodes that the sandbox may have.
    RUN = (("SECONDS", "INODE..."), Follows.COMMAND, Before.OUTPUT, "ran", Carries.RAN, "started")
    OBSERVE = ((), Follows.NOTHING, Before.ENTRIES, "observed", Carries.STATUS)
    USAGE = ((), Follows.NOTHING, Before.USAGE, "used", Carries.NOTHING)
    CLOCK = ((), Follows.NOTHING, Before.NOTHING, "clock", Carries.STAMP)
    MARK = ((), Follows.NOTHING, Before.MARKS, "marked", Carries.STATUS)
    # Bytes after which the listing is cut.
    LIST = (("BYTES",), Follows.NOTHING, Before.LISTING, "listed", Carries.STATUS)
    DIGEST = ((), Follows.FILES, Before.DIGESTS, "digested", Carries.STATUS)
    DELETE = ((), Follows.PATHS, Before.NOTHING, "deleted", Carries.STATUS)
    PICK = ((), Follows.PATHS, Before.TREE, "picked", Carries.STATUS)
    PACK = ((), Follows.NOTHING, Before.TREE, "packed", Carries.STATUS)

    def __init__(
        self,
        arguments: tuple[str, ...],
        follows: Follows,
        before: Before,
        answer: str,
        carries: Carries,
        begins: str = "",
    ) -> None:
        self.arguments, self.follows, self.before = arguments, follows, before
        self.answer, self.carries, self.begins = answer, carries, begins

    @property
    def word(self) -> str:
        """The word that its line begins with."""
        return self.name.lower()

    @property
    def answers(self) -> tuple[str, ...]:
        """The words of all its answers, in order."""
        return (self.begins, self.answer) if self.begins else (self.answer,)

    def line(self, *arguments: int) -> bytes:
        """Return the line that asks for it."""
        assert bool(arguments) == bool(self.arguments)
        return " ".join([self.word, *map(str, arguments)]).encode() + b"\n"

    @property
    def prefix(self) -> bytes:
        """What stands before each path that follows it."""
        return DIGESTED.encode() + b"/" if self.follows is Follows.FILES else b"./"

    @property
    def beginning(self) -> bytes:
        """What its line begins with, and no other request's; the nonce and chunks do not."""
        return self.word.encode() + (b" " if self.arguments else b"\n")


def chunk(*pieces: bytes) -> bytes:
    """Return the pieces as one chunk: its size in decimal on a line, then the bytes."""
    # Joined once: here, copying costs more processor time than anything else.
    return b"".join([b"%d\n" % sum(map(len, pieces)), *pieces])


def answer_line(nonce: bytes, *words: bytes) -> bytes:
    """Return an answer, with the newline before it."""
    return b"\n%b\n" % b" ".join([nonce, *words])
