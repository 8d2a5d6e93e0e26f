"""A real Chromium for the tests and the picture of the page; `.ci/run` has an environment with playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def why_not() -> str | None:
    """Why there is no browser here; None where there is one."""
    if find_spec("playwright") is None:
        return "playwright is not installed"
    if _program() is None:
        return f"this machine has no {PROGRAMS[0]}"
    return None


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window, playwright's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_program(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def picture(file: Path, to: Path, width: int, left_out: str = "") -> None:
    """A picture of a page, so many pixels wide; without the elements that a CSS selector names."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(file.as_uri())
        if left_out:
            page.evaluate("chosen => document.querySelectorAll(chosen).forEach(element => element.remove())", left_out)
        page.screenshot(path=str(to), full_page=True)


def _program() -> str | None:
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)
