"""One pipeline name, two places: what a trial in another dataset or file has left does not reach this one."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dlt
import pytest
from dlt import Pipeline
from dlt.common.configuration.specs import AwsCredentials, AzureCredentials
from dlt.destinations.impl.bigquery.configuration import BigQueryClientConfiguration
from dlt.destinations.impl.databricks.configuration import DatabricksClientConfiguration, DatabricksCredentials
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration

from stripe_reports_source import ConfigurationError, load_reports, reconcile
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.errors import own_error
from stripe_reports_source.marts import read_mart
from stripe_reports_source.page.make import make_page
from stripe_reports_source.warehouse import places
from stripe_reports_source.warehouse.places import Place, place_of
from stripe_reports_source.warehouse.status import report_status
from tests.conftest import query, source_of
from tests.pipeline.truth import assert_true

PAYOUTS, BALANCE, ACTIVITY = "payouts.itemized", "balance.summary", "balance_change_from_activity.itemized"
REPORTS = [PAYOUTS, BALANCE]
FEWER, MORE = [BALANCE], [*REPORTS, ACTIVITY]
Make = Callable[..., Pipeline]


@pytest.fixture(
    params=[
        "another dataset",
        *(pytest.param(place, marks=pytest.mark.long) for place in ("another file", "postgres")),
    ]
)
def in_place(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """The pipeline in production or on trial, with one working folder; as a process makes it anew."""
    dataset = f"stripe_{uuid.uuid4().hex[:12]}"

    def make(place: str, folder: str = "pipelines", **settings: Any) -> Pipeline:
        file = f"{place}.duckdb" if request.param == "another file" else "reports.duckdb"
        destination: Any = dlt.destinations.duckdb(str(tmp_path / file))
        if request.param == "postgres":
            destination = dlt.destinations.postgres(request.getfixturevalue("postgres"))
        made: Pipeline = dlt.pipeline(
            "reports",
            destination=destination,
            dataset_name=dataset if request.param == "another file" else f"{dataset}_{place}",
            pipelines_dir=str(tmp_path / folder),
            **settings,
        )
        return made

    return make


def tables(pipeline: Pipeline) -> list[str]:
    """The tables of a dataset, of reports and others."""
    with pipeline.sql_client() as client:
        name = client.fully_qualified_dataset_name(quote=False).rpartition(".")[2]
    found = query(pipeline, "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", name)
    return sorted(row[0] for row in found)


def schemas(pipeline: Pipeline) -> list[list[str]]:
    """The tables that each schema names that is stored in a dataset."""
    stored = query(pipeline, "SELECT schema FROM _dlt_version ORDER BY inserted_at")
    return [sorted(json.loads(row[0])["tables"]) for row in stored]


def kept(pipeline: Pipeline) -> tuple[list[str], list[str]]:
    """The tables of a dataset, and those that the newest schema names."""
    return tables(pipeline), schemas(pipeline)[-1]


def judged(pipeline: Pipeline) -> list[tuple[str, ...]]:
    """What `reconcile` says of a dataset."""
    said = reconcile(pipeline).statements
    return sorted((each.equation, each.interval_key, each.currency, each.item, each.status) for each in said)


def state(pipeline: Pipeline) -> Any:
    """What dlt's working folder has of the pipeline, without the names of its place."""
    return json.loads((Path(pipeline.working_dir) / "state.json").read_text())["sources"]


@pytest.mark.first(1)
@pytest.mark.parametrize(
    "in_place", ["another dataset", "another file", pytest.param("postgres", marks=pytest.mark.long)], indirect=True
)
@pytest.mark.parametrize("tried", [FEWER, MORE], ids=["fewer", "more"])
def test_a_trial_elsewhere_changes_nothing_here(
    emulator: Emulator, in_place: Make, tried: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    load_reports(in_place("production"), source_of(emulator, REPORTS))
    before, proven = kept(in_place("production")), judged(in_place("production"))
    assert {"tied"} <= {status for *_, status in proven} <= {"tied", "not_comparable"}
    load_reports(in_place("trial"), source_of(emulator, tried))
    caplog.clear()
    loaded = load_reports(in_place("production"), source_of(emulator, REPORTS))
    assert loaded.cells == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert kept(in_place("production")) == before
    assert judged(in_place("production")) == proven
    assert_true(emulator, in_place("production"), REPORTS, end=emulator.settings.available_end)
    assert_true(emulator, in_place("trial"), tried, end=emulator.settings.available_end)


@pytest.mark.long
def test_a_trial_that_is_further_on_does_not_lend_its_cursor(
    emulator: Emulator, in_place: Make, caplog: pytest.LogCaptureFixture
) -> None:
    load_reports(in_place("production"), source_of(emulator, REPORTS))
    for _ in range(3):
        emulator.advance(emulator.service.available_end + timedelta(days=1))
        load_reports(in_place("trial"), source_of(emulator, FEWER))
    caplog.clear()
    loaded = load_reports(in_place("production"), source_of(emulator, REPORTS))
    assert {table.table for table in loaded.tables} == {"payouts_itemized", "balance_summary"}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert_true(emulator, in_place("production"), REPORTS, end=emulator.service.available_end)
    assert "balance_change_from_activity_itemized" not in tables(in_place("production"))


@pytest.mark.long
def test_reconcile_goes_by_its_own_dataset_right_after_a_trial(emulator: Emulator, in_place: Make) -> None:
    load_reports(in_place("production"), source_of(emulator, REPORTS))
    load_reports(in_place("trial"), source_of(emulator, FEWER))
    assert reconcile(in_place("production")).ok
    assert schemas(in_place("production"))[-1] == sorted(in_place("production").default_schema.tables)
    assert load_reports(in_place("production"), source_of(emulator, REPORTS)).cells == 0


@pytest.mark.long
def test_one_pipeline_object_whose_dataset_is_changed(emulator: Emulator, tmp_path: Path) -> None:
    pipeline = dlt.pipeline(
        "reports",
        destination=dlt.destinations.duckdb(str(tmp_path / "reports.duckdb")),
        dataset_name="production",
        import_schema_path=str(tmp_path / "import"),
        export_schema_path=str(tmp_path / "export"),
    )
    load_reports(pipeline, source_of(emulator, REPORTS))
    pipeline.dataset_name = "trial"
    load_reports(pipeline, source_of(emulator, FEWER))
    pipeline.dataset_name = "production"
    assert load_reports(pipeline, source_of(emulator, REPORTS)).cells == 0
    assert reconcile(pipeline).ok
    assert pipeline.default_schema.name == "stripe_reports"
    emulator.advance(emulator.service.available_end + timedelta(days=1))
    pipeline.run(source_of(emulator, REPORTS))
    assert_true(emulator, pipeline, REPORTS, end=emulator.service.available_end)


@pytest.mark.first(1)
@pytest.mark.parametrize("step", ["extracted", "normalised"])
def test_a_package_for_another_place_is_not_loaded_here(
    emulator: Emulator, in_place: Make, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The next sync into its place extracts it again, from the same report runs."""
    load_reports(in_place("production"), source_of(emulator, REPORTS))
    load_reports(in_place("trial"), source_of(emulator, FEWER))
    trial = in_place("trial")
    trial.extract(source_of(emulator, MORE))
    if step == "normalised":
        trial.normalize()
    runs = len(emulator.runs)
    caplog.clear()
    assert load_reports(in_place("production"), source_of(emulator, REPORTS)).cells == 0
    [warning] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "is given up here; the next sync into that extracts it again" in warning
    assert str(trial.dataset_name) in warning
    assert "balance_change_from_activity_itemized" not in tables(in_place("production"))
    assert not in_place("production").has_pending_data
    load_reports(in_place("trial"), source_of(emulator, MORE))
    assert_true(emulator, in_place("trial"), MORE, end=emulator.settings.available_end)
    assert len(emulator.runs) == runs


def test_a_package_of_this_place_is_loaded_as_ever(emulator: Emulator, in_place: Make) -> None:
    load_reports(in_place("production"), source_of(emulator, FEWER))
    production = in_place("production")
    production.extract(source_of(emulator, REPORTS))
    assert load_reports(in_place("production"), source_of(emulator, REPORTS)).cells == 0
    assert_true(emulator, in_place("production"), REPORTS, end=emulator.settings.available_end)


def test_a_package_of_another_source_for_another_place_is_neither_loaded_nor_lost(
    emulator: Emulator, in_place: Make
) -> None:
    load_reports(in_place("production"), source_of(emulator, FEWER))
    load_reports(in_place("trial"), source_of(emulator, FEWER))
    in_place("trial").extract([{"id": 1}], table_name="others", schema=dlt.Schema("others"))
    with pytest.raises(ConfigurationError, match=r"load it there first, or .* `dlt --yes pipeline reports abort-pack"):
        load_reports(in_place("production"), source_of(emulator, FEWER))
    trial = in_place("trial")
    trial.normalize()
    trial.load()
    assert query(trial, "SELECT id FROM others") == [(1,)]
    assert load_reports(in_place("production"), source_of(emulator, FEWER)).cells == 0


@pytest.mark.long
def test_a_plain_run_with_the_state_of_another_place_is_refused(emulator: Emulator, in_place: Make) -> None:
    in_place("trial").run(source_of(emulator, FEWER))
    for _ in range(3):
        in_place("production").run(source_of(emulator, REPORTS))
        emulator.advance(emulator.service.available_end + timedelta(days=1))
    before = state(in_place("production"))
    with pytest.raises(Exception, match=r".") as caught:
        in_place("trial").run(source_of(emulator, FEWER))
    assert "was last at work for the dataset" in str(own_error(caught.value))
    assert state(in_place("production")) == before
    in_place("trial").drop().run(source_of(emulator, FEWER))
    assert_true(emulator, in_place("trial"), FEWER, end=emulator.service.available_end)
    load_reports(in_place("production"), source_of(emulator, REPORTS))
    assert_true(emulator, in_place("production"), REPORTS, end=emulator.service.available_end)


def test_a_plain_run_elsewhere_is_noticed_by_the_next_load(emulator: Emulator, in_place: Make) -> None:
    load_reports(in_place("production"), source_of(emulator, REPORTS))
    in_place("trial").run([{"id": 1}], table_name="others", schema=dlt.Schema("others"))
    assert load_reports(in_place("production"), source_of(emulator, REPORTS)).cells == 0
    assert "others" not in tables(in_place("production"))
    assert reconcile(in_place("production")).ok


@pytest.mark.long
@pytest.mark.parametrize("last", ["production", "trial"])
def test_a_working_folder_of_an_earlier_version_has_no_note(emulator: Emulator, in_place: Make, last: str) -> None:
    load_reports(in_place("production"), source_of(emulator, REPORTS))
    load_reports(in_place("trial"), source_of(emulator, FEWER))
    load_reports(in_place(last), source_of(emulator, FEWER))
    in_place(last).set_local_state_val(places.NOTE, None)
    assert load_reports(in_place("production"), source_of(emulator, REPORTS)).cells == 0
    assert reconcile(in_place("production")).ok
    assert "balance_summary" in tables(in_place("production"))


@pytest.mark.long
@pytest.mark.parametrize("pending", [False, True], ids=["nothing pending", "pending"])
def test_a_note_with_an_earlier_digest_counts_as_none(
    emulator: Emulator, tmp_path: Path, postgres: str, pending: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It was of less than tells a place from others: no package is given up for it."""
    dataset = f"stripe_{uuid.uuid4().hex[:12]}"

    def make() -> Pipeline:
        server = dlt.destinations.postgres(postgres)
        return dlt.pipeline("reports", destination=server, dataset_name=dataset, pipelines_dir=str(tmp_path / "dlt"))

    load_reports(make(), source_of(emulator, FEWER))
    noted, state = make().get_local_state_val(places.NOTE)
    if pending:
        make().extract(source_of(emulator, REPORTS))
    make().set_local_state_val(places.NOTE, [{**noted, "location": noted["location"][:16]}, state])
    runs = len(emulator.runs)
    caplog.clear()
    load_reports(make(), source_of(emulator, REPORTS))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert_true(emulator, make(), REPORTS, end=emulator.settings.available_end)
    assert make().get_local_state_val(places.NOTE)[0] == noted
    assert (len(emulator.runs) == runs) is pending


def of_config(config: Any, **settings: Any) -> Place:
    """The place that a configuration of dlt's means."""
    for name, value in settings.items():
        setattr(config, name, value)
    destination = SimpleNamespace(destination_type=f"dlt.destinations.{config.destination_type}")
    client = SimpleNamespace(config=config)
    made: Any = SimpleNamespace(destination=destination, destination_client=lambda: client, dataset_name="stripe")
    return place_of(made)


def in_bucket(url: str, credentials: Any = None) -> Place:
    return of_config(FilesystemDestinationClientConfiguration(), bucket_url=url, credentials=credentials)


def with_values(credentials: Any, **values: str) -> Any:
    for name, value in values.items():
        setattr(credentials, name, value)
    return credentials


@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "abfss", "sftp"])
def test_two_folders_of_a_bucket_are_two_places(scheme: str) -> None:
    assert in_bucket(f"{scheme}://lake/trial") != in_bucket(f"{scheme}://lake/production")
    assert in_bucket(f"{scheme}://lake/trial") == in_bucket(f"{scheme}://lake/trial/")


def test_one_folder_is_one_place_whoever_opens_it() -> None:
    assert in_bucket("sftp://me:old@host/lake") == in_bucket("sftp://me:new@host/lake?timeout=9")
    assert in_bucket("abfss://trial@lake.dfs.core.windows.net/a") != in_bucket(
        "abfss://real@lake.dfs.core.windows.net/a"
    )
    assert in_bucket("/lake/trial") != in_bucket("/lake/production")


def test_servers_and_accounts_with_a_bucket_of_one_name_are_places_of_their_own() -> None:
    def at(endpoint: str) -> Place:
        return in_bucket("s3://lake", with_values(AwsCredentials(), endpoint_url=endpoint))

    def azure(account: str) -> Place:
        return in_bucket("az://lake", with_values(AzureCredentials(), azure_storage_account_name=account))

    assert at("http://trial:9000") != at("http://production:9000")
    assert azure("trial") != azure("production")


def test_catalogs_and_projects_are_places_of_their_own() -> None:
    def catalog(name: str, token: str = "") -> Place:
        known = with_values(DatabricksCredentials(), catalog=name, server_hostname="host", access_token=token)
        return of_config(DatabricksClientConfiguration(), credentials=known)

    def project(name: str) -> Place:
        return of_config(BigQueryClientConfiguration(), project_id=name)

    assert catalog("trial") != catalog("production")
    assert catalog("trial", "one") == catalog("trial", "two")
    assert project("trial") != project("production")


def test_the_same_place_costs_no_query(emulator: Emulator, in_place: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    load_reports(in_place("production"), source_of(emulator, REPORTS))
    monkeypatch.setattr(places, "_state_client", None)
    for _ in range(2):
        assert load_reports(in_place("production"), source_of(emulator, REPORTS)).cells == 0
        assert reconcile(in_place("production")).ok


def test_two_machines_with_one_dataset_do_not_disturb_each_other(
    emulator: Emulator, in_place: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[str] = []
    monkeypatch.setattr(places, "_forget", lambda pipeline: forgotten.append(pipeline.pipelines_dir))
    for folder in ("one", "two", "one", "two"):
        load_reports(in_place("production", folder), source_of(emulator, REPORTS))
        emulator.advance(emulator.service.available_end + timedelta(days=1))
    assert forgotten == []


@pytest.mark.long
def test_who_reads_production_leaves_the_trial_at_work(emulator: Emulator, in_place: Make) -> None:
    load_reports(in_place("production"), source_of(emulator, MORE))
    load_reports(in_place("trial"), source_of(emulator, FEWER))
    kept = state(in_place("trial"))
    production = in_place("production")
    assert {report.table for report in report_status(production)} == {
        "payouts_itemized",
        "balance_summary",
        "balance_change_from_activity_itemized",
    }
    assert read_mart(production, "stripe_payouts").rows
    assert "payouts_itemized" in make_page(production, date(2025, 1, 1)).text
    assert dlt.current.pipeline().working_dir == production.working_dir
    assert state(in_place("trial")) == kept


@pytest.mark.long
def test_a_pipeline_in_dev_mode_has_a_dataset_of_its_own(emulator: Emulator, in_place: Make) -> None:
    load_reports(in_place("production"), source_of(emulator, REPORTS))
    load_reports(in_place("trial", dev_mode=True), source_of(emulator, FEWER))
    assert load_reports(in_place("production"), source_of(emulator, REPORTS)).cells == 0
    assert reconcile(in_place("production")).ok


@pytest.mark.long
@pytest.mark.parametrize(
    "in_place", ["another dataset", pytest.param("postgres", marks=pytest.mark.long)], indirect=True
)
def test_a_dataset_whose_newest_schema_is_that_of_a_trial_ties_all_the_same(
    emulator: Emulator, in_place: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions have left it: tables that the schema does not name, and that `report_columns` does."""
    load_reports(in_place("production"), source_of(emulator, REPORTS))
    proven = judged(in_place("production"))
    with monkeypatch.context() as earlier:
        earlier.setattr("stripe_reports_source.sync.loading.leave_other_place", lambda _: None)
        load_reports(in_place("trial"), source_of(emulator, FEWER))
        load_reports(in_place("production"), source_of(emulator, REPORTS))
    assert "payouts_itemized" not in schemas(in_place("production"))[-1]
    assert judged(in_place("production")) == proven
    assert "payouts_itemized" in make_page(in_place("production"), date(2025, 1, 1)).text
