"""A report as one self-contained page: no network, nothing beside it."""

from __future__ import annotations

from importlib import resources

import jinja2

from harness.analysis.report import Report
from harness.units import seconds, size

TEMPLATES = resources.files("harness.render").joinpath("templates")


def page(report: Report) -> str:
    """The whole document; every text of a result or a proof is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: TEMPLATES.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"seconds": seconds, "size": size}
    return environment.get_template("report.html").render(
        report=report,
        rows=report.trade_offs.to_dict("records"),
        findings=report.findings.to_dict("records"),
        properties=list(dict.fromkeys(report.findings["property"])),
        runners=list(dict.fromkeys(zip(report.findings["engine"], report.findings["runner"], strict=True))),
    )
