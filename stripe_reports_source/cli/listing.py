"""What a command found, for people or for programs: `--format table|json|csv`.

In: rows as dictionaries. Out: a table on a terminal, one JSON document, or CSV with a header. In JSON and CSV instants
are in UTC as ISO 8601 writes them, durations are whole seconds, and the standard output has nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console

from .console import show_table, standard_error, standard_output
from .machine import csv_text, json_text

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="JSON and CSV have the standard output to themselves.",
)


def told_on(form: str) -> Console:
    """Where a command says what it does: the standard output belongs to the data, if data is asked for."""
    return standard_output() if form == "table" else standard_error()


def show_rows(
    form: str, title: str, heads: Mapping[str, str], rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> None:
    """Print rows.

    Args:
        form: table, json or csv.
        title: of the table.
        heads: for each column its name in the data, and its head in the table; columns of the data alone have none.
        rows: by the names in the data.
        about: what the JSON document says beside `rows`.
    """
    if form == "json":
        document = {**about, "rows": [{name: row[name] for name in heads} for row in rows]}
        click.echo(json_text(document), nl=False)
    elif form == "csv":
        click.echo(csv_text(heads, ([row[name] for name in heads] for row in rows)), nl=False)
    else:
        shown = [name for name, head in heads.items() if head]
        show_table(
            standard_output(), title, [heads[name] for name in shown], [[row[name] for name in shown] for row in rows]
        )
