"""The command of a test event: deeds of the run, a small build, and an ending."""

from __future__ import annotations

from harness.verify.soak.presses import SOURCES, Ending, PressPlan
from harness.verify.testing.planting import quote
from harness.verify.testing.sessions import Model, Node

PRODUCT = b"p/product"

MAKEFILE = b"""product: 1.txt 2.txt
\tcat 1.txt 2.txt >product
\t@echo built >&2
"""

HELLO = b"p/hello.c"

FAILURE, LEFT = 3, 4
"""The exit status of a run that fails, and of one that leaves at once."""


def expected_product(model: Model) -> bytes:
    """Return the content of a product that is built from nothing."""
    return b"".join(model.tree[name].content for name in SOURCES)


def write_script(plan: PressPlan, model: Model) -> bytes:
    """Return the script, and apply it to the model, except for the product of the build."""
    if plan.ending is Ending.LEAVES:
        return b"#!/bin/sh\nexit %d\n" % LEFT
    lines = [model.run(plan.deeds).removesuffix(b"\n")]
    for name in plan.before:
        content = b"made %07d\n" % plan.number
        lines.append(b"rm -f %b && printf %%s %b >%b" % (PRODUCT, quote(content), name))
        model.tree.pop(PRODUCT, None)
        model.tree[name] = Node("f", content)
    lines.append(b"make -s -C p product && cat " + PRODUCT)
    if plan.compiles:
        lines.append(b"gcc -o /tmp/hello %b && /tmp/hello" % HELLO)
    lines += [b"touch -d %b %b" % (quote(date), path) for path, date in plan.late]
    if plan.ending is Ending.HANGS:
        lines.append(b"sleep 1000")
    if plan.ending is Ending.FAILS:
        lines.append(b"exit %d" % FAILURE)
    return b"\n".join(lines) + b"\n"


def hello(number: int) -> bytes:
    """Return the source of a program that prints a number."""
    return b'#include <stdio.h>\nint main(void) { return printf("hello %d\\n") < 0; }\n' % number
