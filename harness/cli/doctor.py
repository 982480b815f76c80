"""harness doctor: what this machine has, what follows from it, and what to install for more."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.cli.options import console, errors, remark
from harness.engines import doctor
from harness.inside.errors import EngineError, UsageError
from harness.report.doctor import diagnosis, workers

NOT_READY = 1
"""Exit status where an engine works, and it is not the one that is taken, or cannot build what is compared."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="what this machine has and lacks",
        description="What this machine has, what follows from it, and what to install for more. Changes nothing. "
        "Exits with 0 when `harness compare` can do its main job here, with 1 when the engine that it takes cannot, or builds no "
        "C yet, and with 2 when none works.",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help=f"start {doctor.MEASURED} containers, one after the other, for steadier times of the storage driver",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write it all as JSON too; - for stdout, instead of the table",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="what each worker of this Dask cluster has, instead: tcp://HOST:8786",
    )
    parser.set_defaults(command_function=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    if options.dask is not None:
        return _cluster(options)
    with errors.status("looking at this machine") as status:
        found = doctor.examine(
            measure=options.measure, report=lambda line: status.update(f"looking at {line}")
        )
    if options.json != "-":
        console.print(diagnosis(found))
    if options.json:
        _write(options.json, json.dumps(asdict(found), indent=2) + "\n")
    if not found.working:
        raise EngineError(found.verdict())
    if options.json != "-":
        console.print(found.verdict(), style="bold", markup=False)
    return 0 if found.ready else NOT_READY


def _cluster(options: argparse.Namespace) -> int:
    from harness.measure.cluster import Cluster  # noqa: PLC0415 - an optional extra
    from harness.measure.cluster.worker import examine  # noqa: PLC0415

    with Cluster(options.dask, remark) as cluster, errors.status("looking at the workers"):
        found = cluster.reports(examine)
    if options.json != "-":
        console.print(workers(found))
    if options.json:
        document = {address: asdict(each) for address, each in found.items()}
        _write(options.json, json.dumps(document, indent=2) + "\n")
    if all(each.machine is None for each in found.values()):
        raise EngineError(f"none of the workers at {options.dask} has an engine that works")
    return 0


def _write(place: str, text: str) -> None:
    if place == "-":
        sys.stdout.write(text)
        return
    try:
        Path(place).write_text(text)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be written: {error.strerror}; give another --json"
        ) from error
