"""harness doctor: show what this machine has, what follows from it, and what to install."""

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
"""Exit status if some engine works, but the chosen one does not, or cannot build C."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="show what this machine has and lacks",
        description="Show what this machine has, what follows from it, and what to install for "
        "more. "
        "Changes nothing. Exits with 0 if `harness compare` can do its main job here, with 1 if "
        "the engine that it takes does not work or cannot build C yet, and with 2 if no engine "
        "works.",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help=f"start {doctor.MEASURED} containers in turn, to time the storage driver more "
        "steadily",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="also write everything as JSON; - writes it to stdout instead of the table",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="show instead what each worker of this Dask cluster has: tcp://HOST:8786",
    )
    parser.set_defaults(command_function=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    if options.dask is not None:
        return _cluster(options)
    with errors.status("looking at this machine") as status:
        machine = doctor.examine(
            measure=options.measure, report=lambda line: status.update(f"looking at {line}")
        )
    if options.json != "-":
        console.print(diagnosis(machine))
    if options.json:
        _write(options.json, json.dumps(asdict(machine), indent=2) + "\n")
    if not machine.working:
        raise EngineError(machine.verdict())
    if options.json != "-":
        console.print(machine.verdict(), style="bold", markup=False)
    return 0 if machine.ready else NOT_READY


def _cluster(options: argparse.Namespace) -> int:
    from harness.measure.cluster import Cluster  # noqa: PLC0415 - an optional extra
    from harness.measure.cluster.worker import examine  # noqa: PLC0415

    with Cluster(options.dask, remark) as cluster, errors.status("looking at the workers"):
        reports = cluster.reports(examine)
    if options.json != "-":
        console.print(workers(reports))
    if options.json:
        document = {address: asdict(report) for address, report in reports.items()}
        _write(options.json, json.dumps(document, indent=2) + "\n")
    if all(report.machine is None for report in reports.values()):
        raise EngineError(f"no worker at {options.dask} has a working engine")
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
