"""No missed edit: make sees an edit whatever the gap after the build before it, even none.

The build is `cp`, since gcc takes so long that it would hide fast edits; make itself is the
observer. What was built by a clock that runs ahead must not hide an edit either. An example is one
test event for each of a few gaps, or three, at half a second each on Docker.
"""

from __future__ import annotations

import time

from hypothesis import strategies as st

from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import Subject, complete
from harness.verify.proofs.shared.verdict import Refuted

GAPS = st.lists(
    st.sampled_from([0.0, 0.0005, 0.002, 0.004, 0.01, 0.1, 0.4, 1.0]), min_size=1, max_size=4
)
"""Seconds from a test event to the edit: around a tick of the kernel's clock, and longer."""

_AHEAD = ("1 second", "1 hour", "1 year")
"""How far ahead the clock runs that stamps a product: every edit seems to be older than it."""

_FILES = {
    "cyber-dojo.sh": "#!/bin/sh\nmake --silent && cat product\n",
    "Makefile": "product: source\n\tcp source product\n",
}

PAIRS = tuple(str(number) for number in range(1, 9))
"""Sources with a product each, side by side in one sandbox, each built at another moment."""

_PRODUCTS = " ".join(f"{pair}.product" for pair in PAIRS)

SEVERAL = {
    "cyber-dojo.sh": f"#!/bin/sh\nmake --silent && cat {_PRODUCTS}\n",
    "Makefile": f"all: {_PRODUCTS}\n%.product: %.source\n\tcp $< $@\n",
}


def _sources(edit: int) -> dict[str, str]:
    """Return all sources, as edit number `edit` leaves them."""
    return {f"{pair}.source": f"{pair} edit {edit:03}\n" for pair in PAIRS}


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first edit that make did not see."""
    with subject.runner() as runner:

        def check(gaps: list[float]) -> None:
            avatar = subject.avatar()
            complete(runner, avatar, {**SEVERAL, **_sources(0)})
            search.tally.label(*(f"{gap * 1000:g} ms" for gap in gaps))
            for number, gap in enumerate(gaps, 1):
                time.sleep(gap)
                edited = _sources(number)
                run = complete(runner, avatar, {**SEVERAL, **edited})
                if run.stdout != "".join(edited.values()):
                    raise Refuted(
                        f"an edit {gap * 1000:g} ms after the build before it was missed: "
                        f"make gave {run.stdout!r}"
                    )

        def check_ahead(ahead: str) -> None:
            avatar = subject.avatar()
            makefile = f"{_FILES['Makefile']}\ttouch -d '{ahead}' product\n"
            for number in range(3):
                edited: dict[str, str | bytes] = {
                    **_FILES,
                    "Makefile": makefile,
                    "source": f"edit {number}\n",
                }
                run = complete(runner, avatar, edited)
                if run.stdout != f"edit {number}\n":
                    raise Refuted(f"edit {number} was missed: make gave {run.stdout!r}")

        search.listed(
            "ahead", _AHEAD, check_ahead, show=lambda ahead: f"products from a clock {ahead} ahead"
        )
        search.drawn(
            "gaps", GAPS, check, most=subject.most(17, 4), weigh=lambda gaps: len(gaps) * len(PAIRS)
        )
