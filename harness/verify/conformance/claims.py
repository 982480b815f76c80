"""Checks of what an engine says of itself."""

from __future__ import annotations

import pickle
import secrets
from contextlib import closing

from harness.engines import Engine, SandboxSpec
from harness.engines.spec import Mount
from harness.inside.errors import EngineError, ImageError
from harness.runners import parse_variant
from harness.runners.claims import Property
from harness.runners.variant import Variant
from harness.verify.conformance.checking import executed, is_one_line, must
from harness.verify.proofs import Refuted


def says_what_it_is(engine: Engine) -> None:
    """It describes itself, and its abilities agree with one another."""
    facts = engine.describe()
    for key in ("engine", "storage driver", "kernel", "host", "processors"):
        must(isinstance(facts.get(key), str), f"describe() has no words for {key!r}")
    for ability in ("isolates", "counts_memory", "makes_images", "quick", "removable"):
        must(isinstance(getattr(engine, ability), bool), f"{ability} is neither True nor False")
    for gap in engine.gaps:
        must(is_one_line(gap), f"the gap {gap!r} is not one line")
    must(engine.counts_memory or engine.gaps, "it counts no memory, and no gap says why")
    said = engine.check_image(None)
    must(is_one_line(said), f"check_image(None) says {said!r}")
    image = f"harness-none-{secrets.token_hex(4)}"
    try:
        engine.check_image(image)
    except ImageError as error:
        must(is_one_line(str(error)), f"it refuses an image with {str(error)!r}")
    else:
        raise Refuted(f"it takes the image {image}, which is none")


def claims_what_it_says(engine: Engine) -> None:
    """What isolates is claimed of runs, and what has a gap is not."""
    claimed = Variant.of(parse_variant("katas-data-container").kind).claims(engine)
    must(
        (Property.ISOLATED in claimed) == (engine.isolates and not engine.gaps),
        "runs on it are claimed to be isolated, and it isolates not, or with gaps",
    )


def refuses_mounts(engine: Engine) -> None:
    """A kind of mount that it does not make is refused, at the latest when it is opened."""

    class Unheard(Mount):
        """A kind that no engine makes."""

    must(Unheard not in engine.mounts, "it says that it makes a mount that it cannot know")
    must(
        is_one_line(engine.refusal(Unheard)),
        "refusal() says nothing of a mount that it cannot know",
    )
    for kind in engine.mounts:
        said = engine.refusal(kind)
        must(not said or is_one_line(said), f"refusal({kind.__name__}) says {said!r}")
    try:
        with closing(engine.open(SandboxSpec(mount=Unheard()))) as sandbox:
            sandbox.wait()
    except EngineError:
        return
    raise Refuted("it opened a sandbox with a mount that it cannot know")


def travels(engine: Engine) -> None:
    """Pickled, it is the same engine, and what it starts is its own."""
    with closing(pickle.loads(pickle.dumps(engine))) as other:
        must(other.describe() == engine.describe(), "its copy describes itself otherwise")
        must(other.isolates == engine.isolates, "its copy isolates otherwise")
        with closing(other.open(SandboxSpec())) as sandbox:
            must(executed(sandbox, "echo 1").stdout == b"1\n", "its copy runs nothing")
