"""A page in a real browser, for the tests of several pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def opened_page(document: Path, size: dict[str, int], scheme: str) -> Iterator[Any]:
    """Open it without a network; whatever the console says, or it asks for, fails the test."""
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed; on Debian: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api")
    said: list[str] = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=size, color_scheme=scheme, offline=True)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith("file:") else said.append(asked.url),
        )
        page.goto(document.as_uri())
        yield page
        browser.close()
    assert said == []
