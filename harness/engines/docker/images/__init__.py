"""Images: how the harness's own two are made, and whether any image can take part in a run.

`build` and `ensure` make an image on an engine, `probe` starts one short-lived container to find out what an
image can do, and `problems` and `warnings` say what that means for a run.
"""

from harness.engines.docker.images.builder import KEEPER_IMAGE, RUN_IMAGE, build, ensure
from harness.engines.docker.images.facts import ImageFacts, problems, warnings
from harness.engines.docker.images.prober import probe

__all__ = [
    "KEEPER_IMAGE",
    "RUN_IMAGE",
    "ImageFacts",
    "build",
    "ensure",
    "probe",
    "problems",
    "warnings",
]
