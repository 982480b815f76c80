"""What every engine must do: a check for each thing that its protocol promises.

`harness.verify.engine_suite` makes a test of each. They try one small example each. Whether runs
are apart, bounded and exact whatever happens is for the proofs, which `harness verify` searches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.engines import Engine
from harness.verify.conformance import claims, orphans, runs, volumes

CHECKS: Mapping[str, Callable[[Engine], None]] = {
    "says-what-it-is": claims.says_what_it_is,
    "claims-what-it-says": claims.claims_what_it_says,
    "refuses-mounts": claims.refuses_mounts,
    "brings-trees-back": runs.brings_trees_back,
    "hands-out-output": runs.hands_out_output,
    "keeps-statuses": runs.keeps_statuses,
    "ends-what-goes-on": runs.ends_what_goes_on,
    "keeps-time": runs.keeps_time,
    "keeps-the-environment": runs.keeps_the_environment,
    "takes-parts": runs.takes_parts,
    "is-killed": runs.is_killed,
    "is-listened-to": runs.is_listened_to,
    "is-shared": runs.is_shared,
    "counts-usage": runs.counts_usage,
    "travels": claims.travels,
    "tells-traces": runs.tells_traces,
    "keeps-volumes": volumes.keeps_volumes,
    "starts-keepers": volumes.starts_keepers,
    "keeps-katas": volumes.keeps_katas,
    "makes-mounts": volumes.makes_mounts,
    "sweeps": orphans.sweeps,
}
"""Each check by its name. It raises Refuted if the engine does otherwise, and Untried if that
cannot be tried here.
"""
