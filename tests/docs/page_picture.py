"""The picture of the demonstration's page in README, drawn by a real browser.

In: the demonstration, which is run for it. Out: a PNG file of a part of the page.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from stripe_reports_source.cli.places import read_only_pipeline
from stripe_reports_source.page.make import make_page
from tests.page.browser import picture
from tests.terminal import captures

from .pages import DOCS

PICTURE = DOCS / "page.png"
WIDTH = 1060
LEFT_OUT = (
    "nav, details, #freshness, #tie-outs, #roll-forward, #income, #journal, #runs, #balance h3, #balance .sheets, "
    "#payouts h3, #payouts > p:not(.hint), #payouts > .scroll, .charts figure:nth-child(3)"
)
"""What the picture does not show."""


def make() -> None:
    """Run the demonstration and draw its page."""
    with tempfile.TemporaryDirectory() as folder:
        captures.demonstration("80", keep=Path(folder))
        database, page = Path(folder) / captures.DATABASE, Path(folder) / "page.html"
        with read_only_pipeline("duckdb", "stripe", "stripe_demo", database) as pipeline:
            page.write_text(make_page(pipeline).text, encoding="utf-8")
        picture(page, PICTURE, WIDTH, LEFT_OUT)
