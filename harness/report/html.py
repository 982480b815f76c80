"""A report as one self-contained page that loads nothing else."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import jinja2

from harness.measure.units import seconds, size
from harness.report.analysis.report import Report

TEMPLATES = resources.files("harness.report").joinpath("templates")


def _of_what_is_known(show: Callable[[Any], str]) -> Callable[[Any], str]:
    """Show NaN, which marks a missing figure in a frame, like None."""
    return lambda value: show(None if value != value else value)  # noqa: PLR0124 - NaN alone does


def template_of(name: str) -> jinja2.Template:
    """Return a template of this package, which escapes every text that is put into it."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: TEMPLATES.joinpath(name).read_text(encoding="utf-8")
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"seconds": _of_what_is_known(seconds), "size": _of_what_is_known(size)}
    return environment.get_template(name)


def page(report: Report) -> str:
    """Return the whole document; every text from a result or a proof is escaped."""
    return template_of("report.html").render(
        report=report,
        rows=report.trade_offs.to_dict("records"),
        findings=report.findings.to_dict("records"),
        properties=list(dict.fromkeys(report.findings["property"])),
        runners=list(
            dict.fromkeys(zip(report.findings["engine"], report.findings["runner"], strict=True))
        ),
    )
