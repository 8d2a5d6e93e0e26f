"""The command `page`: what the page says against SQL, what makes it red, that it is the same each time."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from stripe_reports_source.cli import cli
from stripe_reports_source.cli.columns import money
from stripe_reports_source.cli.places import read_only_pipeline
from stripe_reports_source.page.make import make_page
from tests.page.conftest import BUSINESS, CENT, FILE, Run, asked, change
from tests.page.read import ReadPage, read_page
from tests.reconcile.worlds import Worlds

OUT = "page.html"
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def made(worlds: Worlds, tmp_path_factory: pytest.TempPathFactory) -> ReadPage:
    """The page of the business as it was loaded."""
    folder = tmp_path_factory.mktemp("made")
    worlds.copy(BUSINESS, folder)
    with read_only_pipeline("duckdb", "stripe", "another", folder / FILE) as pipeline:
        return ReadPage(make_page(pipeline).text)


def reconciled(file: Path) -> str:
    """The last line of `reconcile`."""
    return (
        CliRunner().invoke(cli, ["reconcile", "--database", str(file), "--pipeline", "world"]).stdout.splitlines()[-1]
    )


def shown(number: Any, currency: str) -> str:
    return money(Decimal(number), currency)


def test_the_page_says_what_reconcile_says_and_where_it_is(page: Run, business: Path, tmp_path: Path) -> None:
    result = page("--output", OUT)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"Reading {business}, dataset stripe."
    assert lines[-1] == f"Written to {tmp_path / OUT}"
    sentence = reconciled(business)
    assert sentence.endswith("open: none")
    assert lines[1] == f"All that was compared agrees: {sentence}."
    assert f"All that was compared agrees {sentence}." in read_page(tmp_path / OUT).text


def test_the_page_is_the_same_each_time_small_and_asks_for_nothing(page: Run, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        assert page("--output", name).exit_code == 0
    text = (tmp_path / "a.html").read_bytes()
    assert text == (tmp_path / "b.html").read_bytes()
    assert len(text) < MOST_BYTES
    read = ReadPage(text.decode())
    assert read.policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not read.tags & {"script", "img", "link", "iframe", "object", "form", "input", "base"}
    assert not {name for name in read.attributes if name.startswith("on") or name in ("src", "style")}
    assert str(tmp_path) not in text.decode()


def test_the_file_is_its_owners_and_the_database_is_let_go(page: Run, business: Path, tmp_path: Path) -> None:
    before = business.read_bytes()
    assert page("--output", "deep/page.html").exit_code == 0
    assert (tmp_path / "deep" / "page.html").stat().st_mode & 0o777 == 0o600
    assert business.read_bytes() == before
    with duckdb.connect(str(business)) as connection:  # for writing
        connection.execute("CREATE TABLE stripe.mine (a INTEGER)")


def test_the_roll_forward_is_that_of_the_reports(made: ReadPage, business: Path) -> None:
    sums = asked(
        business,
        "SELECT currency, reporting_category, count(*), sum(gross), -sum(fee), sum(net) "
        "FROM balance_change_from_activity_itemized WHERE _interval_day = '2025-03-01' GROUP BY 1, 2",
    )
    assert len(sums) > 5
    for currency, category, rows, *amounts in sums:
        [table] = made.of("roll-forward", str(currency))
        found = table.row(str(category))
        assert found["rows"] == str(rows)
        assert [found[name] for name in ("gross", "fees", "net")] == [
            shown(number, str(currency)) for number in amounts
        ]
    stated = asked(
        business,
        "SELECT currency, max(net_amount) FILTER (category = 'starting_balance'), "
        "max(net_amount) FILTER (category = 'ending_balance') FROM balance_summary "
        "WHERE _interval_day = '2025-03-01' AND currency <> '' GROUP BY 1",
    )
    for currency, opening, closing in stated:
        [table] = made.of("roll-forward", str(currency))
        assert table.row("opening")["net"] == shown(opening, str(currency))
        assert table.row("closing")["net"] == shown(closing, str(currency))
        assert set(table.row("off by")["net"]) <= set("0.")


def test_the_months_are_those_of_the_reports(made: ReadPage, business: Path) -> None:
    months: list[tuple[Any, ...]] = asked(
        business,
        "SELECT _interval_day, currency, sum(net), sum(CASE WHEN reporting_category = 'charge' THEN gross ELSE 0 END), "
        "sum(CASE WHEN reporting_category LIKE 'refund%' THEN gross ELSE 0 END), "
        "sum(CASE WHEN reporting_category = 'fee' THEN net ELSE -fee END) "
        "FROM balance_change_from_activity_itemized GROUP BY 1, 2",
    )
    for day, currency, net, payments, refunds, fees in months:
        [table] = made.of("income", currency)
        found = table.row(f"{day:%B %Y}")
        expected = [shown(number, currency) for number in (net, payments, refunds, fees)]
        assert [found[name] for name in ("net", "gross payments", "refunds", "fees")] == expected
        [balance] = made.of("balance", currency)
        name = f"{day:%B %Y}{' so far' if day == date(2025, 4, 1) else ''}"
        assert balance.row(name)["net"] == shown(net, currency)


def test_payouts_and_those_that_failed_are_listed(made: ReadPage, business: Path) -> None:
    paid: list[tuple[Any, ...]] = asked(
        business,
        "SELECT effective_at::DATE, currency, count(*), sum(net) FROM payouts_itemized "
        "WHERE reporting_category = 'payout' GROUP BY 1, 2",
    )
    days: dict[tuple[str, str], str] = {}
    by_currency = [table for table in made.of("payouts") if table.rows[0][0] == "day"]
    currencies = sorted({currency for _, currency, *_ in paid})
    for table, currency in zip(by_currency, currencies, strict=True):
        days |= {(row[0], currency): row[2] for row in table.rows[1:]}
    assert days == {(str(day), currency): shown(amount, currency) for day, currency, _, amount in paid}
    failed = {
        row[0]
        for row in asked(
            business, "SELECT payout_id FROM payouts_itemized WHERE reporting_category = 'payout_reversal'"
        )
    }
    assert failed
    [table] = [table for table in made.of("payouts") if table.rows[0][0] == "payout"]
    assert set(table.column("payout")) == failed


def test_the_journal_is_in_balance_and_can_be_copied(made: ReadPage) -> None:
    sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    head, *lines = [line.split("\t") for line in made.copied.splitlines()]
    assert head == ["journal_date", "account", "ledger_account", "currency", "debit", "credit", "source"]
    for day, account, _, currency, debit, credit, _ in lines:
        assert (day, account) == ("2025-03-31", "default")
        sums[currency][0] += Decimal(debit)
        sums[currency][1] += Decimal(credit)
    assert len(sums) > 1
    for currency, (debits, credits_) in sums.items():
        assert debits == credits_ > 0
        [table] = made.of("journal", currency)
        assert table.row("sum")["debit"] == shown(debits, currency)


def test_the_queries_that_are_shown_run_as_they_stand_and_give_the_figures(made: ReadPage, business: Path) -> None:
    assert len(made.queries) == 5
    with duckdb.connect(str(business), read_only=True) as connection:
        answers = [connection.execute(sql).fetchall() for sql in made.queries]
    assert all(answers)
    income = answers[3]
    for _, currency, month, *figures in income:
        [table] = made.of("income", currency)
        row = next(row for row in table.rows if row[0] == f"{month:%B %Y}")
        assert row[1:] == [shown(number, currency) for number in figures]
    debits = {(row[1], row[3], row[2], shown(row[4], row[1])) for row in answers[4]}
    copied = [line.split("\t") for line in made.copied.splitlines()[1:]]
    assert debits == {(line[3], line[2], line[6], shown(line[4], line[3])) for line in copied}


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("fault", "red"),
    [
        pytest.param(CENT, "0.01", id="a cent"),
        pytest.param(CENT.replace("net = net", "gross = gross"), "0.01", id="a cent of the gross amount alone"),
        pytest.param("UPDATE balance_summary SET net_amount = net_amount + 7 WHERE category = 'ending_balance' "
                     "AND currency = 'usd' AND _interval_day = '2025-03-01'", "7.00", id="a closing balance"),
    ],
)  # fmt: skip
def test_what_differs_is_red_and_said_first(page: Run, business: Path, tmp_path: Path, fault: str, red: str) -> None:
    assert page("--output", "before.html").exit_code == 0
    assert change(business, fault) == 1
    result = page("--output", OUT)
    assert result.exit_code == 0
    assert "\nSomething differs: tied: " in result.stdout
    read, before = read_page(tmp_path / OUT), read_page(tmp_path / "before.html")
    assert re.search(r"^Stripe reports: .{0,140} Something differs tied: \d+ statements", read.text)
    assert any(red in text for text in read.off)
    assert len(read.off) > len(before.off)
    [ties] = [table for table in read.of("tie-outs") if table.rows[0][0] == "month"]
    assert ties.rows[0][1] == "usd"  # what differs stands first
    assert red in "".join(ties.column("usd"))
    assert reconciled(business).split("; open: ")[1] in read.text


def test_what_others_have_written_stays_text(page: Run, business: Path, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    assert change(
        business,
        f"UPDATE report_runs SET error = '{evil}', created = created + INTERVAL 1 DAY, status = 'failed' "
        "WHERE run_id = (SELECT max(run_id) FROM report_cells WHERE table_name = 'payouts_itemized')",
        f"UPDATE report_runs SET archive_path = '{evil}', file_id = '{evil}'",
        f"UPDATE payouts_itemized SET payout_id = '{evil}' WHERE payout_id = (SELECT min(payout_id) "
        "FROM payouts_itemized WHERE reporting_category = 'payout_reversal')",
    )
    result = page("--output", OUT)
    assert result.exit_code == 0
    text = (tmp_path / OUT).read_text()
    assert "<img" not in text
    assert text.count("&lt;img src=x") > 10
    assert "1 failed and not loaded since" in read_page(tmp_path / OUT).text


def test_a_month_that_is_gone_from_the_ledger_is_missing(page: Run, business: Path, tmp_path: Path) -> None:
    assert change(
        business, "DELETE FROM report_cells WHERE table_name = 'payouts_itemized' AND interval_day = '2025-02-01'"
    )
    result = page("--output", OUT)
    assert result.exit_code == 0
    assert "1 month missing in the calendar, of payouts_itemized [default]." in result.stdout
    assert "All that was compared agrees" not in result.stdout
    [calendar] = read_page(tmp_path / OUT).of("coverage")[:1]
    assert calendar.row("payouts_itemized") == {
        "report": "payouts_itemized",
        "Jan25": "✓",
        "Feb25": "?",
        "Mar25": "✓",
        "Apr25": "◐",
    }


def test_only_days_since_one_are_shown(page: Run, tmp_path: Path) -> None:
    assert page("--output", OUT, "--since", "2025-03-01").exit_code == 0
    read = read_page(tmp_path / OUT)
    assert read.of("income", "usd")[0].column("month") == ["March 2025", "April 2025"]
    assert "2 months are loaded before March 2025: --since shows more." in read.text
    assert "January" not in read.of("tie-outs")[0].column("month")


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--since", "2026-01-01"], 4, "since 2026-01-01 in 'stripe'; set --since to a day of 2025-04, the last month"),
        (
            ["--account", "acct_other"],
            4,
            "no rows have _account acct_other in 'stripe'; set --account to",
        ),
        (["--month", "2025"], 2, "'2025' must be a month, such as 2025-06."),
        (["--month", "9999-12"], 2, "'9999-12' must be a month, such as 2025-06."),
        (["--month", "0001-01"], 2, "'0001-01' must be a month, such as 2025-06."),
        (["--with-open-items"], 2, "--with-open-items goes with --month."),
        (["--month", "2025-02", "--since", "2025-01-01"], 2, "--since goes without --month."),
        (["--ledger-accounts", "none.csv"], 2, "does not exist"),
    ],
)
def test_what_cannot_be_shown_is_said(page: Run, tmp_path: Path, options: list[str], code: int, sentence: str) -> None:
    result = page("--output", OUT, *options)
    assert result.exit_code == code
    assert sentence in " ".join(result.output.split())
    assert not (tmp_path / OUT).exists()


def test_a_page_does_not_go_where_a_folder_is_nor_a_record_where_a_file_is(page: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    for options, kind in ((["--output", "folder"], "folder"), (["--month", "2025-02", "--output", "file"], "file")):
        result = page(*options)
        assert result.exit_code == 2
        assert f"--output {kind} is a {kind}: choose another name." in " ".join(result.output.split())
    assert (tmp_path / "file").read_text() == "mine"
    assert not list((tmp_path / "folder").iterdir())


def test_there_is_no_page_of_no_database(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["page", "--database", "none.duckdb"])
    assert result.exit_code == 4
    assert not list(tmp_path.glob("*.html"))
