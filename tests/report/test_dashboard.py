"""The page of a history: every change is marked, every commit linked, and no name is markup."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.gate.history import histories
from harness.inside.errors import UsageError
from harness.measure.results import Recording, ResultFile
from harness.report.analysis.palette import styles
from harness.report.dashboard import render
from harness.report.links import check_template, commit_url
from tests.gate.figures import PIPE, blocks
from tests.report.browsers import PHONE, WIDE, opened_page

HOSTILE = '"><script>alert(1)</script>$\\frac{'
SEEDED = f"{PIPE}:standby=seeded"
FACTS = {
    "engine": {"engine": "local", "storage driver": "none"},
    "tree": "typical",
    "runners": [PIPE],
    "machines": {},
    "machine": "",
}


def day(number: int, ratios: Mapping[str, float], **facts: Any) -> Recording:
    """The result of a day, with a commit of its own."""
    created = f"2026-01-{number:02}T03:00:00+00:00"
    project = {"commit": f"{number:040x}", "remote": "https://git.example.org/a.git"}
    return Recording(
        Path(f"{number:02}.jsonl"),
        {**FACTS, "created": created, "project": project, **facts},
        blocks(ratios, 15, seed=number, noise=0.02),
        complete=True,
    )


@pytest.fixture(scope="module")
def days() -> Sequence[Recording]:
    """Twenty, with a step of one runner on the eleventh, and hostile names everywhere."""
    levels = [5.0] * 10 + [5.6] * 10
    return [
        day(number, {PIPE: level, SEEDED: 1.5, HOSTILE: 3.0, "_x": 2.0}, tree=HOSTILE)
        for number, level in enumerate(levels, 1)
    ]


@pytest.fixture(scope="module")
def document(days: Sequence[Recording]) -> str:
    return render(histories(days))


def test_a_change_stands_with_its_commit_and_the_one_before(document: str) -> None:
    """Both linked, by the remote that the results name."""
    table = document.partition("Changes of level</h2>")[2].partition("</table>")[0]
    assert PIPE in table
    assert table.count(" % slower") == 1
    for number in (11, 10):
        commit = f"{number:040x}"
        assert f'href="https://git.example.org/a/commit/{commit}"><code>{commit[:12]}' in table
    assert document.count(" % slower") > 4  # in the verdict, and both pictures with their words


def test_each_point_leads_to_its_commit(document: str, days: Sequence[Recording]) -> None:
    for result in days:
        address = (
            f'xlink:href="https://git.example.org/a/commit/{result.facts["project"]["commit"]}"'
        )
        assert (
            document.count(address) == 2 * 4
        )  # of each runner, in the wide and the narrow picture


def test_a_runner_has_its_own_colour_and_marker(document: str) -> None:
    """Those of all other pictures; a variant differs by its marker."""
    drawn = styles([PIPE, SEEDED, HOSTILE, "_x"])
    assert drawn[PIPE].marker != drawn[SEEDED].marker
    for style in drawn.values():
        assert f"var(--c-{style.colour[1:]}, {style.colour})" in document


def test_no_name_is_markup(document: str) -> None:
    """Of a runner or a tree; what is no commit, and what is no address, is not linked."""
    assert "<script" not in document
    assert "&lt;script&gt;alert(1)" in document
    odd = render(
        histories(
            [
                day(1, {PIPE: 5.0}, project={"commit": "a" * 40, "remote": "javascript:alert(1)"}),
                day(2, {PIPE: 5.0}, project={"commit": "javascript:1", "remote": 'x"onload="1'}),
                day(3, {PIPE: 5.0}, project=["nothing"]),
            ]
        )
    )
    assert "aaaaaaaaaaaa" in odd
    assert "href=" not in odd.partition('<h2 id="results-title')[2]
    assert 'onload="' not in odd


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["390", "1440"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window_and_everybody_can_read_it(
    document: str, tmp_path: Path, size: dict[str, int], scheme: str
) -> None:
    """Only tables scroll sideways, and keep their first column; nothing runs or is loaded."""
    (tmp_path / "page.html").write_text(document, encoding="utf-8")
    with opened_page(tmp_path / "page.html", size, scheme) as view:
        assert view.evaluate("document.documentElement.scrollWidth") <= size["width"]
        wider = view.evaluate(
            """[...document.querySelectorAll('*')].filter(each =>
            each.scrollWidth > each.clientWidth && getComputedStyle(each).overflowX === 'auto'
            && !each.querySelector('table')).length"""
        )
        assert wider == 0
        assert view.locator("figure svg:visible").count() == 1
        left = "document.querySelector('#changes tbody th').getBoundingClientRect().left"
        before = view.evaluate(left)
        view.evaluate("document.querySelector('#changes .scroll').scrollLeft = 60")
        assert view.evaluate(left) == pytest.approx(before, abs=1)
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        found = axe.run(view).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert not serious, json.dumps(
            [(each["id"], each["nodes"][0]["html"][:200]) for each in serious]
        )


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the addresses of the template; what cannot be one is refused, and no result is
    overwritten.
    """
    path, page = tmp_path / "r.jsonl", tmp_path / "page.html"
    with ResultFile(path, {**FACTS, **day(1, {PIPE: 5.0}).facts}) as result:
        for each in blocks({PIPE: 5.0}, 3):
            result.add(each)
    template = "https://example.org/?id={commit}&x=<b>"
    assert main(("history", str(path), "--html", str(page), "--commit-url", template)) == 0
    assert "times bare make, 1 results" in capsys.readouterr().out
    assert f"https://example.org/?id={1:040x}&amp;x=&lt;b&gt;" in page.read_text()
    assert "No change of level in 1 result." in page.read_text()
    for given, words in (
        (("--html", str(path)), "would be overwritten"),
        (("--html", str(page), "--commit-url", "javascript:{commit}"), "not an address"),
        (("--commit-url", template), "add --html"),
    ):
        assert main(("history", str(path), *given)) == 2
        assert words in capsys.readouterr().err
    assert path.read_text().startswith("{")


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://git.example.org/a/b.git", "https://git.example.org/a/b/commit/0123abc"),
        ("https://git.example.org:8443/a/", "https://git.example.org:8443/a/commit/0123abc"),
        ("git@git.example.org:a/b.git", "https://git.example.org/a/b/commit/0123abc"),
        ("ssh://git@git.example.org/a/b", "https://git.example.org/a/b/commit/0123abc"),
        ("ssh://git@git.example.org:2222/a/b", "https://git.example.org/a/b/commit/0123abc"),
        ("https://bitbucket.example.org/a", "https://bitbucket.example.org/a/commits/0123abc"),
        ("/srv/git/a.git", ""),
        ("../a@b", ""),
        ("file:///srv/git/a", ""),
        ("javascript:alert(1)//@x:y", ""),
        ("", ""),
    ],
)
def test_a_remote_has_a_page_for_each_commit(remote: str, address: str) -> None:
    """Or none, as a folder has."""
    assert commit_url("0123abc", remote) == address
    assert commit_url("not a commit", remote) == ""


@pytest.mark.parametrize("template", ["", "https://x.org/", "{commit}", "javascript:'{commit}'"])
def test_a_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match="write it as https://"):
        check_template(template)
