"""Images: building the harness's own two, and finding out whether any image can be used in a run.

`build` and `ensure` make an image on an engine. `probe` starts a short-lived container to find out
what an image can do; `problems` and `warnings` say what that means for a run.
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
