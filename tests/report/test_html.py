"""The report in a real browser: nothing fails, nothing overflows, its controls work, and everybody
can read it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.inside.errors import UsageError
from harness.measure.results import load_results
from harness.report.analysis.report import make_report
from harness.report.html import page
from tests.report.frames import matrix

RECORDED = Path(__file__).with_name("compare.jsonl")
ENGINE = "docker 26.1.5+dfsg1"
"""Where it was recorded."""
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 360, "height": 640}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on a recorded result and proofs beside it."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "verify.json").write_text(json.dumps(matrix(ENGINE)))
    report = make_report([RECORDED], [folder / "verify.json"])
    path = folder / "report.html"
    path.write_text(page(report), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium."""
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed; on Debian: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    """How the reader's system is set."""
    return str(request.param)


@pytest.fixture
def view(browser: Any, document: Path, scheme: str) -> Iterator[Any]:
    """The page, opened without a network; whatever the console says of it fails the test."""
    context = browser.new_context(viewport=WIDE, color_scheme=scheme, offline=True)
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on(
        "request", lambda asked: None if asked.url.startswith("file:") else said.append(asked.url)
    )
    opened.goto(document.as_uri())
    yield opened
    context.close()
    assert said == []


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["360", "1440"])
def test_nothing_overflows(view: Any, size: dict[str, int]) -> None:
    """The page is never wider than the window; wide tables and pictures scroll by themselves."""
    view.set_viewport_size(size)
    assert view.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_an_accessibility_checker_finds_no_serious_fault(view: Any) -> None:
    """axe-core, all its rules."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    response = axe.run(view).response
    assert len(response["passes"]) > 20  # it did look
    serious = [each for each in response["violations"] if each["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(
        [(each["id"], each["nodes"][0]["html"][:200]) for each in serious]
    )


def test_every_picture_has_words_and_figures_to_point_at(view: Any) -> None:
    """An alternative text that names the floor, and a title for each bar or point."""
    pictures = view.locator("svg[role=img]")
    assert pictures.count() >= 2
    for number in range(pictures.count()):
        assert "bare-make" in pictures.nth(number).get_attribute("aria-label")
        assert pictures.nth(number).locator(".tip title").count() > 3
    samples = load_results(RECORDED)
    points = view.locator("figure", has_text="Every sample").locator("svg use.tip")
    assert points.count() == (samples["outcome"] == "completed").sum()


def test_the_table_sorts_by_numbers_and_back(view: Any) -> None:
    """A click sorts, another turns the order round; times sort as numbers, not as text."""

    def order() -> list[float]:
        cells = view.locator("#table tbody tr td:nth-last-child(3)")
        return [
            float(cells.nth(number).get_attribute("data-value")) for number in range(cells.count())
        ]

    head = view.get_by_role("button", name="in the katas")
    head.click()
    assert order() == sorted(order())
    head.click()
    assert order() == sorted(order(), reverse=True)
    assert len(set(order())) > 2


def test_the_filter_shows_what_contains_the_words(view: Any) -> None:
    """And says how many rows that are; an empty filter shows all."""
    rows = view.locator("#table tbody tr")
    total = rows.count()
    view.get_by_role("searchbox").fill("TMP")
    assert [rows.nth(number).is_visible() for number in range(total)].count(True) == 1
    assert view.locator("#shown").inner_text() == f"1 of {total}"
    view.get_by_role("searchbox").fill("")
    assert all(rows.nth(number).is_visible() for number in range(total))


def test_the_verdict_comes_first(view: Any) -> None:
    """Before any table, in one sentence."""
    first = view.locator("body p").first
    assert first.get_attribute("class") == "verdict"
    assert "katas-data-container" in first.inner_text()


def test_counterexamples_stand_with_the_command_that_replays_them(view: Any) -> None:
    """Each refuted property has its words and its command."""
    text = view.locator("#proofs").inner_text()
    assert text.count("half a product was left") == 1
    assert view.locator("#proofs dt").count() == 1  # what was not refuted has no counterexample
    assert (
        "harness verify --runner katas-volume --engine docker --property atomic --replay kill.cnVu"
        in text
    )


def test_what_a_result_says_is_never_markup(tmp_path: Path) -> None:
    """A runner called <script> is shown as that."""
    text = RECORDED.read_text().replace('"katas-volume"', '"<script>alert(1)</script>"')
    (tmp_path / "hostile.jsonl").write_text(text)
    made = page(make_report([tmp_path / "hostile.jsonl"]))
    assert "<script>alert" not in made
    assert "&lt;script&gt;alert" in made


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"findings": [], "schema": 99}', '{"findings": [{}], "schema": 1}']
)
def test_proofs_that_are_none_are_refused(content: str, tmp_path: Path) -> None:
    """With the name of the file."""
    path = tmp_path / "proofs.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"proofs\.json"):
        make_report([RECORDED], [path])
