"""The course of a test event: whose turn it was, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Turn:
    """What one side sends until the other side answers."""

    stream: str
    way: str
    # Bytes of this stream and way before the turn, and at its end.
    start: int
    end: int


@dataclass
class Course:
    """What was observed of one test event."""

    turns: list[Turn] = field(default_factory=list)
    # Stream to the number of turns before it was opened.
    opened: dict[str, int] = field(default_factory=dict)
    # Changes of the keeper's disk.
    changes: int = 0
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def open(self, stream: str) -> None:
        self.opened.setdefault(stream, len(self.turns))

    def pass_by(self, stream: str, way: str, size: int) -> int:
        """Count `size` bytes; return how many came before them."""
        before = self._counts.get((stream, way), 0)
        self._counts[stream, way] = before + size
        last = self.turns[-1] if self.turns else None
        if last and (last.stream, last.way) == (stream, way):
            last.end += size
        else:
            self.turns.append(Turn(stream, way, before, before + size))
        return before
