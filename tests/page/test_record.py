"""`page --month`: the record of a month, when there is none, and that it stays the same."""

from __future__ import annotations

import csv
import hashlib
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stripe_reports_source.cli import cli
from tests.page.conftest import BUSINESS, CENT, FILE, Run, asked, change
from tests.page.read import read_page
from tests.reconcile.worlds import SIX, Account, World, Worlds

NAMES = (
    "page.html",
    "roll_forward.csv",
    "payouts.csv",
    "journal_lines.csv",
    "open_items.csv",
    "runs.csv",
    "sha256.txt",
)
MAY = date(2025, 5, 20)
MONTH, FEBRUARY = "2025-02", date(2025, 2, 1)


def rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


@pytest.fixture
def record(page: Run, tmp_path: Path) -> Path:
    """The folder of February's record."""
    result = page("--month", MONTH, "--output", "record")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"Record of February 2025, written to {tmp_path / 'record'}"
    return tmp_path / "record"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_record_has_these_files_and_their_hashes(record: Path) -> None:
    assert set(content(record)) == {f"{MONTH}_{name}" for name in NAMES}
    hashes = [line.split("  ") for line in (record / f"{MONTH}_sha256.txt").read_text().splitlines()]
    assert len(hashes) == len(NAMES) - 1
    assert all(hashlib.sha256((record / name).read_bytes()).hexdigest() == value for value, name in hashes)
    read = read_page(record / f"{MONTH}_page.html")
    assert read.text.startswith("Stripe, February 2025: record of the month ")
    assert "All that was compared agrees tied: " in read.text
    assert not {row[0] for table in read.of("tie-outs") for row in table.rows[1:]} - {"February 2025"}


def test_the_figures_of_a_record_are_those_of_the_reports(record: Path, business: Path) -> None:
    forward = rows(record / f"{MONTH}_roll_forward.csv")
    own: dict[tuple[str, str], Decimal] = {
        (row["currency"], row["category"]): Decimal(row["net"]) for row in forward if row["category"] == "charge"
    }
    charged: list[tuple[Any, ...]] = asked(
        business,
        "SELECT currency, reporting_category, sum(net) FROM balance_change_from_activity_itemized "
        "WHERE _interval_day = '2025-02-01' AND reporting_category = 'charge' GROUP BY 1, 2",
    )
    assert own == {(currency, category): net for currency, category, net in charged}
    assert {row["difference"] for row in forward} == {"0"}
    paid = asked(
        business,
        "SELECT count(DISTINCT payout_id) FROM payouts_itemized "
        "WHERE effective_at >= '2025-02-01' AND effective_at < '2025-03-01'",
    )
    assert [(len(rows(record / f"{MONTH}_payouts.csv")),)] == paid
    lines = rows(record / f"{MONTH}_journal_lines.csv")
    for currency in {line["currency"] for line in lines}:
        both = [[Decimal(line[side]) for line in lines if line["currency"] == currency] for side in ("debit", "credit")]
        assert sum(both[0]) == sum(both[1]) > 0
    assert {line["journal_date"][:7] for line in lines} == {MONTH}


def test_the_runs_of_a_record_are_those_that_are_loaded(record: Path, business: Path) -> None:
    found = rows(record / f"{MONTH}_runs.csv")
    loaded = asked(
        business,
        "SELECT c.table_name, c.run_id, r.sha256 FROM report_cells c JOIN report_runs r USING (run_id) "
        "WHERE c.interval_day = '2025-02-01'",
    )
    assert {(row["table_name"], row["run_id"], row["sha256"]) for row in found} == set(loaded)
    assert len(found) == 9
    assert all(len(row["sha256"]) == 64 for row in found)


@pytest.mark.long
def test_a_record_is_the_same_when_repeated(record: Path, page: Run) -> None:
    before = content(record)
    again = page("--month", MONTH, "--output", "record")
    assert again.exit_code == 0
    assert again.stdout.count(": just so already") == len(NAMES)
    assert page("--month", MONTH, "--output", "other").exit_code == 0
    assert content(record) == before == content(record.with_name("other"))


def test_a_record_is_the_same_when_more_has_been_loaded(record: Path, page: Run, tmp_path: Path) -> None:
    before = content(record)
    later = World(BUSINESS.name, BUSINESS.accounts, end=BUSINESS.end.replace(day=14), scale=BUSINESS.scale)
    later.load(tmp_path)
    result = page("--month", MONTH, "--output", "later")
    assert result.exit_code == 0, result.output
    assert content(tmp_path / "later") == before


@pytest.mark.long
def test_a_record_is_the_same_when_a_payout_of_the_month_comes_back_later(
    record: Path, page: Run, business: Path, tmp_path: Path
) -> None:
    """A payout of February that comes back in March, and is paid again then, is so in the record of March."""
    before = content(record)
    payout, transaction = asked(
        business,
        "SELECT payout_id, balance_transaction_id FROM payouts_itemized "
        "WHERE effective_at >= '2025-02-20' AND effective_at < '2025-03-01' AND reporting_category = 'payout' LIMIT 1",
    )[0]
    later = "TIMESTAMP '2025-03-02 10:00:00'"
    changed = change(
        business,
        "INSERT INTO payouts_itemized SELECT * REPLACE (gross * -1 AS gross, net * -1 AS net, "
        f"'payout_reversal' AS reporting_category, 'failed' AS payout_status, 'txn_back' AS balance_transaction_id, "
        f"{later} AS effective_at, {later} AT TIME ZONE 'UTC' AS effective_at_utc, 'trace' AS trace_id, "
        "DATE '2025-03-01' AS _interval_day, replace(_interval_key, '2025-02-01', '2025-03-01') AS _interval_key) "
        f"FROM payouts_itemized WHERE balance_transaction_id = '{transaction}'",
        "UPDATE payout_reconciliation_itemized SET balance_transaction_id = 'txn_back' WHERE balance_transaction_id = ("
        "SELECT min(balance_transaction_id) FROM payout_reconciliation_itemized "
        "WHERE automatic_payout_effective_at >= '2025-03-03')",
    )
    assert changed == 1
    result = page("--month", MONTH, "--output", "later")
    assert result.exit_code == 0, result.output
    assert content(tmp_path / "later") == before
    assert page("--month", "2025-03", "--output", "march", "--with-open-items").exit_code == 0
    of_march = {row["payout_id"]: row for row in rows(tmp_path / "march" / "2025-03_payouts.csv")}
    assert of_march[str(payout)]["is_returned"] == "true"
    assert of_march[str(payout)]["retried_by"]


def test_a_payout_that_came_back_in_the_month_is_in_its_record_however_old_it_is(
    page: Run, business: Path, tmp_path: Path
) -> None:
    back: list[tuple[Any, ...]] = asked(
        business,
        "SELECT payout_id, strftime(_interval_day, '%Y-%m') FROM payouts_itemized "
        "WHERE reporting_category = 'payout_reversal' ORDER BY effective_at LIMIT 1",
    )
    [(payout, month)] = back
    old = "effective_at = '2024-06-03 10:00', effective_at_utc = '2024-06-03 10:00'"
    assert change(business, f"UPDATE payouts_itemized SET {old} WHERE payout_id = '{payout}' AND net > 0") == 1
    assert page("--month", month, "--output", "record", "--with-open-items").exit_code == 0
    found = {row["payout_id"]: row for row in rows(tmp_path / "record" / f"{month}_payouts.csv")}
    assert found[payout]["effective_day"] == "2024-06-03"
    assert found[payout]["reversed_at"].startswith(month)


@pytest.mark.long
def test_a_record_is_the_same_when_an_account_or_a_report_has_been_begun_with_later(
    record: Path, page: Run, business: Path, tmp_path: Path
) -> None:
    """An account whose data begins in March at Stripe, and a report that was begun with then, are not of February."""
    before = content(record)
    march = datetime(2025, 3, 12, tzinfo=timezone.utc)
    opened = Account("young", SIX, {"start_date": date(2025, 1, 1)}, {"business_start": march.date()})
    begun = Account("default", ["tax.transactions.itemized"], {"start_date": date(2025, 3, 1)})
    World("later", [begun, opened]).load(tmp_path)
    result = page("--month", MONTH, "--output", "later")
    assert result.exit_code == 0, result.output
    assert content(tmp_path / "later") == before
    result = page("--month", "2025-03", "--output", "march")
    assert result.exit_code == 0, result.output
    figures = rows(tmp_path / "march" / "2025-03_roll_forward.csv")
    assert {line["account"] for line in figures} == {"default", "young"}


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("month", "fault", "code", "sentence"),
    [
        ("2025-04", "", 3, "balance_summary [default] of April 2025 is not over yet at Stripe."),
        ("2025-05", "", 3, "balance_summary [default] of May 2025 is not yet at Stripe."),
        ("2024-12", "", 3, "Nothing of December 2024 is loaded: Stripe's data begins later."),
        (
            MONTH,
            "DELETE FROM report_cells WHERE table_name = 'payouts_itemized' AND interval_day = '2025-02-01'",
            3,
            "payouts_itemized [default] of February 2025 is not loaded to its end.",
        ),
        (MONTH, CENT, 5, "(variance): balance_change_from_activity.itemized and balance.summary differ"),
        ("2025-01", "", 0, ""),
        ("2025-01", CENT, 0, ""),  # of another month
        (
            MONTH,
            "UPDATE balance_summary SET net_amount = net_amount + 5 WHERE category = 'starting_balance' "
            "AND currency = 'usd' AND _interval_day = '2025-04-01'",
            5,
            "opening_equals_closing_before [default] 2025-04-01 usd: 5",
        ),
    ],
)
def test_there_is_no_record_of_a_month_that_is_not_complete_or_differs(
    page: Run, business: Path, tmp_path: Path, month: str, fault: str, code: int, sentence: str
) -> None:
    if fault:
        assert change(business, fault) == 1
    result = page("--month", month, "--output", "record")
    assert result.exit_code == code, result.output
    assert sentence in result.stdout
    assert (tmp_path / "record").exists() == (code == 0)


@pytest.mark.long
def test_there_is_no_record_where_rows_are_counted_in_another_month_than_their_own(page: Run, business: Path) -> None:
    """That other rows of the currency are explained, as those which are older than the history, says nothing of it."""
    activity = "balance_change_from_activity_itemized"
    row = f"SELECT min(rowid) FROM {activity} WHERE _interval_day = '2025-01-01' AND currency = 'usd' AND net > 0"
    assert change(business, f"UPDATE {activity} SET created = created + INTERVAL 31 DAY WHERE rowid = ({row})") == 1
    result = page("--month", "2025-01", "--output", "record")
    assert result.exit_code == 5, result.output
    assert "The balance of January 2025 [default] in usd is not Stripe's." in result.stdout
    assert "Something differs: " in page("--output", "page.html").stdout


@pytest.mark.long
@pytest.mark.parametrize(("month", "code"), [("2025-01", 0), (MONTH, 5), ("2025-03", 5)])
def test_there_is_no_record_of_a_month_whose_balances_were_left_behind(
    worlds: Worlds, tmp_path: Path, month: str, code: int
) -> None:
    """The balances of February and March are from before the past has moved, by 5.00, and agree with one another."""
    worlds.copy(World("left_behind", [Account(reports=[SIX[0], SIX[1], SIX[3]])]), tmp_path)
    behind = "IN ('2025-02-01', '2025-03-01')"
    change(
        tmp_path / FILE,
        "UPDATE report_runs SET control_totals = NULL",
        f"UPDATE report_cells SET data_available_end = '2025-04-01' WHERE interval_day {behind}",
        f"UPDATE balance_summary SET net_amount = net_amount + 5 WHERE _interval_day {behind} AND currency = 'usd' "
        "AND category IN ('starting_balance', 'ending_balance')",
    )
    database = ["--database", str(tmp_path / FILE)]
    found = CliRunner().invoke(cli, ["reconcile", "--pipeline", "world", *database], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    command = ["page", *database]
    result = CliRunner().invoke(cli, [*command, "--month", month, "--output", "record"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert ("reconcile --refresh loads them again" in result.stdout) == (code == 5)
    assert "All that was compared agrees" not in CliRunner().invoke(cli, command, catch_exceptions=False).stdout


@pytest.mark.long
def test_a_week_that_reaches_into_a_month_with_one_day_is_looked_at_east_of_utc(worlds: Worlds, tmp_path: Path) -> None:
    """The week of 26 May ends on Sunday, 1 June in Tokyo, at 15:00 of that day in UTC."""
    both = [f"balance_change_from_activity.{form}" for form in ("itemized", "summary")]
    account = Account("default", both, {"interval": "week", "timezone": "Asia/Tokyo"}, {"business_start": MAY})
    worlds.copy(World("tokyo", [account], datetime(2025, 7, 1, tzinfo=timezone.utc), scale=0.02), tmp_path)
    row = "SELECT min(balance_transaction_id) FROM balance_change_from_activity_itemized WHERE _interval_day = '{}'"
    fault = "UPDATE balance_change_from_activity_itemized SET net = net + 5 WHERE balance_transaction_id = ({})"
    database = tmp_path / FILE
    assert change(database, fault.format(row.format("2025-05-26"))) == 1
    command = ["page", "--database", str(database), "--month", "2025-06"]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert "2025-05-26" in result.stdout
    assert "(variance): balance_change_from_activity.itemized" in result.stdout


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("month", "fault", "said"), [("2025-04", "", "is not over yet at Stripe"), (MONTH, CENT, "open: 6 variance")]
)
def test_a_record_with_open_items_says_so_first(
    page: Run, business: Path, tmp_path: Path, month: str, fault: str, said: str
) -> None:
    if fault:
        change(business, fault)
    result = page("--month", month, "--output", "record", "--with-open-items")
    assert result.exit_code == 0, result.output
    text = read_page(tmp_path / "record" / f"{month}_page.html").text
    name = f"{date.fromisoformat(f'{month}-01'):%B %Y}"
    assert text.startswith(f"Stripe, {name}: with open items Stripe, {name}: with open items With open items: ")
    assert said in text
    items = rows(tmp_path / "record" / f"{month}_open_items.csv")
    assert {item["status"] for item in items} >= ({"variance"} if fault else set())


def test_no_text_of_a_record_runs_in_a_spreadsheet(page: Run, business: Path, tmp_path: Path) -> None:
    formula = '=HYPERLINK("http://example.com")'
    assert change(
        business,
        f"UPDATE payouts_itemized SET payout_description = '{formula}', trace_id = '-1+1' "
        "WHERE effective_at >= '2025-02-01' AND effective_at < '2025-03-01'",
    )
    assert page("--month", MONTH, "--output", "record").exit_code == 0
    found = rows(tmp_path / "record" / f"{MONTH}_payouts.csv")
    assert {row["description"] for row in found} == {f"'{formula}"}
    assert {row["trace_id"] for row in found} == {"'-1+1"}
    assert any(Decimal(row["net"]) < 0 for row in found)  # and numbers are numbers
