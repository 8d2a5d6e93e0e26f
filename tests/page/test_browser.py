"""The page in a real Chromium: what a reader sees at two widths, and that nothing leaves it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stripe_reports_source.cli.columns import money
from stripe_reports_source.cli.places import read_only_pipeline
from stripe_reports_source.page.make import make_page
from tests.page.browser import chromium, why_not
from tests.page.conftest import BUSINESS, CENT, FILE, asked, change
from tests.reconcile.worlds import Worlds

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"the page is not looked at in a browser: {why_not()}")
WIDTHS = (390, 1280)
RED = "rgb(176, 0, 32)"


class Logged(SimpleHTTPRequestHandler):
    """Serves files, and notes what is asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def folder(worlds: Worlds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page of the business, clean and with a cent too much in February."""
    made = tmp_path_factory.mktemp("pages")
    worlds.copy(BUSINESS, made)
    for name in ("clean.html", "cent.html"):
        with read_only_pipeline("duckdb", "stripe", "another", made / FILE) as pipeline:
            (made / name).write_text(make_page(pipeline).text, encoding="utf-8")
        change(made / FILE, CENT)
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(params=WIDTHS)
def look(request: pytest.FixtureRequest, browser: Any, folder: Path) -> Iterator[Any]:
    """Opens a page of the folder in a window."""
    window = browser.new_page(viewport={"width": request.param, "height": 900})

    def opened(name: str) -> Any:
        window.goto((folder / name).as_uri())
        return window

    yield opened
    window.close()


def test_what_a_reader_sees_is_what_sql_says(look: Any, folder: Path) -> None:
    window = look("clean.html")
    assert window.inner_text("header strong") == "All that was compared agrees"
    assert window.evaluate("getComputedStyle(document.querySelector('header strong')).color") == "rgb(11, 107, 58)"
    sums: list[tuple[Any, ...]] = asked(
        folder / FILE,
        "SELECT currency, reporting_category, sum(net) FROM balance_change_from_activity_itemized "
        "WHERE _interval_day = '2025-03-01' GROUP BY 1, 2",
    )
    for currency, category, net in sums:
        sheet = window.locator("#roll-forward table", has=window.locator("caption", has_text=currency))
        row = sheet.locator("tr", has=window.locator("th", has_text=category)).first
        shown = [cells for cells in sheet.locator("tr").all_inner_texts() if cells.split("\t")[0].strip() == category]
        assert row.is_visible()
        assert [cells.split("\t")[3].strip() for cells in shown] == [money(net, currency)]


def test_a_cent_is_red(look: Any) -> None:
    window = look("cent.html")
    assert window.inner_text("header strong") == "Something differs"
    red = window.locator("#tie-outs td .off")
    assert red.all_inner_texts() == ["0.01"]
    assert red.evaluate("element => getComputedStyle(element).color") == RED
    assert red.is_visible()
    off = window.locator("#balance .off")
    assert off.all_inner_texts() == ["-0.01"]
    assert off.evaluate("element => getComputedStyle(element).color") == RED


@pytest.mark.parametrize("name", ["clean.html", "cent.html"])
def test_the_page_is_as_wide_as_the_window_and_can_be_looked_at(look: Any, tmp_path: Path, name: str) -> None:
    window = look(name)
    width = window.viewport_size["width"]
    assert window.evaluate("document.documentElement.scrollWidth") == width
    text = "[...document.querySelectorAll('svg text')].map(text => text.getBoundingClientRect().height)"
    assert min(window.evaluate(text)) > 9
    picture = window.screenshot(path=str(tmp_path / f"{name}.{width}.png"), full_page=True)
    assert len(picture) > 50_000


def test_a_click_on_a_month_shows_its_run_and_file(look: Any, folder: Path) -> None:
    window = look("clean.html")
    [(run, sha256)] = asked(
        folder / FILE,
        "SELECT run_id, sha256 FROM report_runs JOIN report_cells USING (run_id) "
        "WHERE report_cells.table_name = 'balance_summary' AND interval_day = '2025-03-01'",
    )
    assert not window.locator(".info:visible").count()
    window.get_by_label("balance_summary, default, March 2025: loaded", exact=True).click()
    [shown] = window.locator(".info:visible").all_inner_texts()
    assert str(run) in shown
    assert str(sha256) in shown


def test_no_request_leaves_the_page(browser: Any, folder: Path) -> None:
    served: list[str] = []
    handler = type("Handler", (Logged,), {"asked": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        window, elsewhere = browser.new_page(), []
        window.on("request", lambda request: elsewhere.append(request.url))
        window.goto(f"http://127.0.0.1:{server.server_port}/clean.html")
        for summary in window.locator("summary").all():
            summary.click()
        assert [url.rpartition("/")[2] for url in elsewhere] == ["clean.html"]
        # were something planted in it, the page would not let it ask either
        blocked = window.evaluate(
            "new Promise(done => {"
            " document.addEventListener('securitypolicyviolation', found => done(found.blockedURI));"
            " const image = new Image(); image.src = '/planted.png'; document.body.append(image); })"
        )
        window.close()
        server.shutdown()
    assert blocked.endswith("/planted.png")
    assert served == ["/clean.html"]
