"""The parts of the pages that are made from the code: every setting, every command.

In: signatures, docstrings, click's commands. Out: markdown between `<!-- made from the code: NAME -->` and
`<!-- end of what is made -->`. `python -m tests.docs` writes it; a test says when it is out of date.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from typing import Any

import click

from stripe_reports_source import Report, load_reports, reconcile, stripe_reports
from stripe_reports_source.cli import cli
from stripe_reports_source.emulator import EmulatorSettings
from stripe_reports_source.errors import StripeReportsError
from stripe_reports_source.marts import MARTS, Mart
from stripe_reports_source.marts.chart import read_chart
from stripe_reports_source.marts.inputs import LEDGER_ACCOUNTS
from stripe_reports_source.plan.settings import RetryPolicy, RunPolicy

from .pages import DOCS

SECTION = "[sources.stripe_reports]"
PREFIX = "SOURCES__STRIPE_REPORTS__"
SECRET = ("api_key",)
EXAMPLES = {
    "reports": '["balance.summary"]',
    "start_date": '"2025-01-01"',
    "end_date": '"2025-04-01"',
    "interval": '"day"',
    "lookback_days": "7",
    "timezone": '"Europe/Berlin"',
    "account": '"eu"',
    "stripe_account": '"acct_..."',
    "stripe_context": '"acct_..."',
    "connected_accounts": '["acct_..."]',
    "personal_data": "false",
    "max_concurrent_runs": "8",
    "run_timeout": "600",
    "allow_partial": "true",
    "retry_policy": "{attempts = 10}",
    "run_policy": "{attempts = 5}",
    "archive_url": '"/srv/stripe"',
    "table_format": '"delta"',
    "api_key": '"rk_live_..."',
    "api_base_url": '"http://127.0.0.1:12111"',
    "files_base_url": '"http://127.0.0.1:12112"',
}
"""What a line of TOML looks like for each setting of the source."""

_PART = re.compile(
    r"(?<=<!-- made from the code: )(?P<name>[\w-]+)( -->\n).*?(?=<!-- end of what is made -->)", re.DOTALL
)


def meanings(documented: Any) -> dict[str, str]:
    """What the `Args:` of a docstring say, by argument."""
    text = inspect.getdoc(documented) or ""
    listed = re.search(r"^Args:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    told: dict[str, str] = {}
    for names, meaning in re.findall(
        r"^    (\w[\w, ]*): ((?:.*\n?)(?:     .*\n?)*)", listed[1] if listed else "", re.MULTILINE
    ):
        for name in names.split(", "):
            told[name] = re.sub(r"\s+", " ", meaning).strip()
    return told


def default_of(value: Any) -> str:
    """A default as the pages show it."""
    if value in (inspect.Parameter.empty, MISSING) or "dlt.secrets" in repr(value):
        return "must be set"
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"`{value}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, float) and value == int(value):
        return f"{int(value)}"
    return f"{value}"


def escaped(cell: str) -> str:
    """A cell's text, in which a bar does not end the cell."""
    return cell.replace("|", "\\|")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(escaped(cell) for cell in line)} |\n" for line in lines)


def settings() -> str:
    """The settings of the source."""
    told = meanings(stripe_reports)
    rows = []
    for name, parameter in inspect.signature(stripe_reports).parameters.items():
        if name not in told:
            continue
        default = "the six reports that prove one another" if name == "reports" else default_of(parameter.default)
        rows.append([f"`{name}`", told[name], default, f"`{name} = {EXAMPLES[name]}`", f"`{PREFIX}{name.upper()}`"])
    return table(["setting", "meaning", "default", f"TOML, below `{SECTION}`", "environment"], rows)


def _fields(of: type[Any]) -> str:
    told = meanings(of)
    rows = []
    for field in fields(of):
        default = field.default if field.default_factory is MISSING else "none"
        rows.append([f"`{field.name}`", told[field.name], default_of(default)])
    return table(["name", "meaning", "default"], rows)


def _arguments(of: Callable[..., Any]) -> str:
    told = meanings(of)
    parameters = inspect.signature(of).parameters
    rows = [[f"`{name}`", told[name], default_of(parameters[name].default)] for name in parameters]
    return table(["argument", "meaning", "default"], rows)


def errors() -> str:
    """Every error with its meaning and remedy; those that are only a base of others aside."""
    rows = [[f"`{error.__name__}`", _sentences(error), error.remedy] for error in _kinds(StripeReportsError)]
    return table(["error", "meaning", "what to do"], rows)


def _kinds(base: type[StripeReportsError]) -> Iterator[type[StripeReportsError]]:
    for error in base.__subclasses__():
        if error.__module__ == base.__module__:
            if "remedy" in vars(error):
                yield error
            yield from _kinds(error)


def _sentences(documented: Any) -> str:
    return re.sub(r"\s+", " ", (inspect.getdoc(documented) or "").split("\n\n")[0])


def commands() -> str:
    """Every command with its arguments and options, as `--help` tells them."""
    return "\n".join(_command(name, command) for name, command in sorted(cli.commands.items()))


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"stripe-reports {name}")
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    text = re.sub(r"\n(?!\n)(?<!\n\n)", " ", inspect.cleandoc(command.help or ""))
    listed = table(["option", "meaning"], list(_options(command, context)))
    return f"### stripe-reports {name}\n\n`{usage}`\n\n{text}\n\n{listed}"


def _options(command: click.Command, context: click.Context) -> Iterator[list[str]]:
    for parameter in command.params:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield [f"`{record[0]}`", re.sub(r"\s+", " ", record[1]) or "-"]


def top() -> str:
    """The options before the command."""
    context = click.Context(cli, info_name="stripe-reports")
    return table(["option", "meaning"], list(_options(cli, context)))


def marts() -> str:
    """Each mart: what it answers, what a row is, its columns."""
    return "\n".join(_mart(mart) for mart in MARTS.values())


def _mart(mart: Mart) -> str:
    rows = [[f"`{column.name}`", str(column.type), column.description] for column in mart.columns]
    key = ", ".join(f"`{name}`" for name in mart.key)
    listed = table(["column", "type", "what it holds"], rows)
    return f"### {mart.name}\n\n{mart.description}\n\nA row is {mart.row}; its key is {key}.\n\n{listed}"


def _chart() -> str:
    return table(
        list(LEDGER_ACCOUNTS), [[f"`{category}`", f"`{entry}`", name] for category, entry, name in read_chart()]
    )


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "report": lambda: _fields(Report),
    "retry-policy": lambda: _fields(RetryPolicy),
    "run-policy": lambda: _fields(RunPolicy),
    "load-reports": lambda: _arguments(load_reports),
    "reconcile": lambda: _arguments(reconcile),
    "emulator": lambda: _fields(EmulatorSettings),
    "errors": errors,
    "marts": marts,
    "chart": _chart,
    "top": top,
    "commands": commands,
}


def made(text: str) -> str:
    """A page with its parts made anew."""
    return _PART.sub(lambda part: f"{part['name']}{part[2]}{PARTS[part['name']]()}", text)


def write() -> None:
    """Make the parts of every page."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if made(text) != text:
            page.write_text(made(text), encoding="utf-8")
