"""The verdict as JUnit XML, which every CI system shows: a test case for each budget.

A regressed budget is a failure. An inconclusive one is an error, since a skipped test looks green.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as xml

from harness.gate.verdict import Ruling, Verdict
from harness.measure.stats import VerdictState
from harness.report.verdicts import headline, measured_where, notes

_TAGS = {VerdictState.REGRESSED: "failure", VerdictState.INCONCLUSIVE: "error"}


def render(verdict: Verdict) -> str:
    """Return one test suite, with the notes as its output."""
    counts = {
        "tests": len(verdict.rulings),
        "failures": sum(ruling.state is VerdictState.REGRESSED for ruling in verdict.rulings),
        "errors": sum(ruling.state is VerdictState.INCONCLUSIVE for ruling in verdict.rulings),
    }
    attributes = {name: str(count) for name, count in counts.items()}
    root = xml.Element("testsuites", attributes)
    suite = xml.SubElement(
        root, "testsuite", {"name": "harness gate", "skipped": "0", **attributes}
    )
    for ruling in verdict.rulings:
        _case(suite, ruling)
    xml.SubElement(suite, "system-out").text = _clean(
        "\n".join([headline(verdict), measured_where(verdict), *notes(verdict)])
    )
    xml.indent(root, " ")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"
    )


def _case(suite: xml.Element, ruling: Ruling) -> None:
    name = f"{ruling.metric.replace('_', ' ')} {ruling.budget}"
    case = xml.SubElement(
        suite,
        "testcase",
        {"classname": _clean(f"{ruling.runner}.{ruling.scenario}"), "name": _clean(name)},
    )
    if tag := _TAGS.get(ruling.state):
        attributes = {"type": str(ruling.state), "message": _clean(ruling.says)}
        xml.SubElement(case, tag, attributes).text = _clean(f"{ruling.name}\n{ruling.says}")
    else:
        xml.SubElement(case, "system-out").text = _clean(ruling.says)


def _clean(text: str) -> str:
    """Replace the characters that XML 1.0 cannot hold."""
    return re.sub(
        r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", text
    )
