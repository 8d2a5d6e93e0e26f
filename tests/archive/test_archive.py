"""The archive: every file that is loaded, as Stripe wrote it, and what it was loaded as."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from dlt import Pipeline

from stripe_reports_source import ArchiveError, ConfigurationError, Report, SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.account_run import AccountRun
from stripe_reports_source.plan.cells import Downloaded
from stripe_reports_source.stripe_api.archive import Archive
from stripe_reports_source.sync.progress import Event
from tests.conftest import query, source_of

REPORTS = ["balance.summary", "payouts.itemized"]


def files_of(root: Path) -> dict[str, bytes]:
    """All files of an archive, by path."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def manifests_of(root: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((root / "manifests").iterdir())]


def test_every_file_is_kept_as_stripe_wrote_it(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    load_reports(pipeline, source_of(emulator, REPORTS, archive_url=str(tmp_path / "kept")))
    kept = files_of(tmp_path / "kept")
    csv = {path: content for path, content in kept.items() if path.startswith("files/")}
    assert set(csv.values()) == {run.file.read_bytes() for run in emulator.runs}
    assert all(path == f"files/{hashlib.sha256(content).hexdigest()}.csv" for path, content in csv.items())
    ledger = query(pipeline, "SELECT run_id, archive_path, sha256, bytes FROM report_runs")
    assert {run_id for run_id, *_ in ledger} == {run.id for run in emulator.runs}
    assert all((hashlib.sha256(csv[path]).hexdigest(), len(csv[path])) == (sha, size) for _, path, sha, size in ledger)


def test_a_manifest_says_what_a_replay_and_an_auditor_need(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path
) -> None:
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"], archive_url=str(tmp_path / "kept"), account="us"))
    manifests = manifests_of(tmp_path / "kept")
    assert {manifest["run_id"] for manifest in manifests} == {run.id for run in emulator.runs}
    told = next(each for each in manifests if each["cell"]["first_day"] == "2025-03-01")
    [run] = [run for run in emulator.runs if run.id == told["run_id"]]
    assert told["report_type"] == run.report_type == "payouts.itemized.3"
    assert (told["account"], told["livemode"], told["cell"]["table"]) == ("us", True, "payouts_itemized")
    assert told["cell"]["key"] == "us|payouts.itemized|month|UTC|2025-03-01"
    assert (told["interval_start"], told["interval_end"]) == ("2025-03-01T00:00:00Z", "2025-03-10T12:00:00Z")
    assert told["data_available_end"] == "2025-03-10T12:00:00Z"
    assert told["file"]["headers"] == run.file.read_text("utf-8").splitlines()[0].replace('"', "").split(",")
    assert told["file"]["sha256"] == hashlib.sha256(run.file.read_bytes()).hexdigest()
    text = json.dumps(manifests)
    assert emulator.settings.live_keys[0] not in text
    assert "http" not in text


def test_what_is_kept_is_for_its_owner_only(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    root = tmp_path / "deep" / "kept"
    load_reports(pipeline, source_of(emulator, ["balance.summary"], archive_url=root.as_uri()))
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_an_address_that_is_not_a_folder(emulator: Emulator, pipeline: Pipeline) -> None:
    root = "memory://kept/of-this-test"
    load_reports(pipeline, source_of(emulator, ["balance.summary"], archive_url=root))
    memory = fsspec.filesystem("memory")
    names = {name.rpartition("/")[2]: memory.cat_file(name) for name in memory.find(root)}
    assert {run.file.read_bytes() for run in emulator.runs} <= set(names.values())
    assert not any(name.endswith(".part") for name in names)
    memory.rm(root, recursive=True)


def test_the_archive_comes_from_dlts_config(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__STRIPE_REPORTS__ARCHIVE_URL", str(tmp_path / "kept"))
    pipeline.run(source_of(emulator, ["balance.summary"]))
    assert len(manifests_of(tmp_path / "kept")) == len(emulator.runs)


@pytest.mark.long
def test_a_partial_cell_and_its_successor_are_both_kept(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    settings = {"archive_url": str(tmp_path / "kept")}
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"], **settings))
    before = files_of(tmp_path / "kept")
    emulator.advance(emulator.settings.available_end + timedelta(days=2))
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"], **settings))
    after = files_of(tmp_path / "kept")
    assert before.items() <= after.items()
    assert {manifest["run_id"] for manifest in manifests_of(tmp_path / "kept")} == {run.id for run in emulator.runs}


def test_a_load_that_is_done_again_changes_nothing(
    emulator: Emulator, make_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    """As after a kill between the archive and the load: the same runs are adopted and archived again."""
    settings = {"archive_url": str(tmp_path / "kept")}
    load_reports(make_pipeline(), source_of(emulator, REPORTS, **settings))
    before = files_of(tmp_path / "kept")
    pipeline = make_pipeline()
    pipeline.run(source_of(emulator, REPORTS, **settings), refresh="drop_resources")
    assert files_of(tmp_path / "kept") == before
    assert query(pipeline, "SELECT DISTINCT adopted FROM report_runs") == [(True,)]


def test_what_is_not_archived_is_not_loaded(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    root = tmp_path / "kept"
    root.mkdir()
    (root / "files").write_text("a file where the folder of files should be")
    with pytest.raises(SyncFailed, match=r"payouts.itemized.3 .*kept: files/.* is not written") as caught:
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"], archive_url=str(root)))
    assert isinstance(caught.value.failures[0].error, ArchiveError)
    runs = len(emulator.runs)
    (root / "files").unlink()
    loaded = load_reports(pipeline, source_of(emulator, ["payouts.itemized"], archive_url=str(root)))
    assert (loaded.cells, len(emulator.runs)) == (3, runs)  # by the same runs, of which all but the first were ahead
    assert len(manifests_of(root)) == 3


def test_a_manifest_that_cannot_be_written_stops_its_cell(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path
) -> None:
    root = tmp_path / "kept"
    root.mkdir()
    (root / "manifests").write_text("a file where the folder of manifests should be")
    with pytest.raises(SyncFailed, match=r"manifests/.* is not written"):
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"], archive_url=str(root)))
    (root / "manifests").unlink()
    assert load_reports(pipeline, source_of(emulator, ["payouts.itemized"], archive_url=str(root))).cells == 3


def test_only_what_is_loaded_has_a_manifest(emulator: Emulator, pipeline: Pipeline, tmp_path: Path) -> None:
    """Files are fetched ahead; those behind a cell that fails are not loaded, and a replay must not load them."""
    bad = Report("payouts.itemized", types={"payout_id": "bigint"})
    with pytest.raises(SyncFailed, match="not a bigint"):
        load_reports(pipeline, source_of(emulator, [bad], archive_url=str(tmp_path / "kept"), start_date="2025-01-01"))
    assert len(manifests_of(tmp_path / "kept")) == 1


def test_a_file_is_never_replaced_by_other_bytes(tmp_path: Path) -> None:
    archive, sha256 = Archive(str(tmp_path / "kept")), hashlib.sha256(b"as it was").hexdigest()
    source = tmp_path / "file.csv"
    source.write_bytes(b"as it was")
    path = archive.keep(Downloaded(source, 9, sha256))
    (tmp_path / "kept" / path).write_bytes(b"cut")
    with pytest.raises(ArchiveError, match="has 3 bytes instead of 9; it is left as it is"):
        archive.keep(Downloaded(source, 9, sha256))
    assert (tmp_path / "kept" / path).read_bytes() == b"cut"
    with pytest.raises(ArchiveError, match="is not what it was"):
        archive.fetch(sha256, tmp_path / "back.csv")
    assert not (tmp_path / "back.csv").exists()


@pytest.mark.parametrize("url", ["", " /kept", "https://files.example.com/kept", "/kept\n"])
def test_an_archive_that_cannot_be_one_is_refused(emulator: Emulator, url: str) -> None:
    with pytest.raises(ConfigurationError, match="archive_url must be a folder"):
        source_of(emulator, REPORTS, archive_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense://bucket/kept",
        "nonsense://me:secret@host/kept?token=secret",
        "nonsense://me:p@secret@host/kept",
        "nonsense://me:a secret@host/kept",
    ],
)
def test_an_address_that_fsspec_does_not_know_is_refused_before_any_run(
    emulator: Emulator, pipeline: Pipeline, url: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"archive_url 'nonsense://.*' cannot be used") as caught:
        load_reports(pipeline, source_of(emulator, REPORTS, archive_url=url))
    assert "secret" not in str(caught.value)
    assert not emulator.runs


@pytest.mark.first(1)
@pytest.mark.parametrize("noted", [True, False], ids=["noted", "by an earlier version"])
def test_an_archive_has_one_account_under_a_label(
    start_emulator: Callable[..., Emulator], make_pipeline: Callable[..., Pipeline], tmp_path: Path, noted: bool
) -> None:
    """A replay could not tell them apart. Another label, and the same account's test data, may lie beside it."""
    emulator = start_emulator(live_keys=("rk_live_a", "rk_live_b"), accounts={"rk_live_b": "acct_b"})
    first, second = make_pipeline(), make_pipeline("second", "second")
    second.dataset_name = "second"
    root = tmp_path / "kept"
    how: dict[str, Any] = {"archive_url": str(root)}
    load_reports(first, source_of(emulator, ["payouts.itemized"], api_key="rk_live_a", **how))
    if not noted:
        shutil.rmtree(root / "accounts")
        (root / "manifests" / "stray.json").write_text("no manifest")
    before, runs = files_of(root), len(emulator.runs)
    other = source_of(emulator, ["payouts.itemized"], api_key="rk_live_b", start_date="2025-02-01", **how)
    with pytest.raises(ConfigurationError, match="kept holds another Stripe account's files"):
        load_reports(second, other)
    assert (files_of(root), len(emulator.runs)) == (before, runs)
    load_reports(second, source_of(emulator, ["payouts.itemized"], api_key="rk_live_b", account="eu", **how))
    load_reports(second, source_of(emulator, ["payouts.itemized"], api_key="rk_live_a", account="us", **how))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    load_reports(first, source_of(emulator, ["payouts.itemized"], api_key="rk_live_a", **how))


def test_of_two_accounts_that_begin_at_once_none_is_mixed_with_the_other(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path
) -> None:
    """The other one's run is noted when ours is under way already."""
    root = tmp_path / "kept"
    archive = Archive(str(root))

    def begin(event: Event) -> None:
        if event.kind == "downloading":
            made = emulator.service.available_end - timedelta(days=1)
            archive.note_account(AccountRun("default", True, "frr_of_another_account", made))

    source = source_of(emulator, ["payouts.itemized"], archive_url=str(root))
    with pytest.raises(SyncFailed, match="holds another Stripe account's files") as caught:
        load_reports(pipeline, source, on_event=begin)
    assert {failure.run_id is not None for failure in caught.value.failures} == {True}
    assert not [name for name in files_of(root) if name.startswith("manifests")]
    [noted] = archive.account_runs("default", True)
    assert noted.run_id == "frr_of_another_account"
    with pytest.raises(ConfigurationError, match="holds another Stripe account's files"):
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"], archive_url=str(root)))


@pytest.mark.long
def test_each_of_several_accounts_that_were_noted_at_once_is_asked_for(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path
) -> None:
    root = tmp_path / "kept"
    archive = Archive(str(root))
    load_reports(pipeline, source_of(emulator, ["payouts.itemized"], archive_url=str(root)))
    [own] = archive.account_runs("default", True)
    archive.note_account(AccountRun("default", True, "frr_of_long_ago", own.created - timedelta(days=31)))
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    assert load_reports(pipeline, source_of(emulator, ["payouts.itemized"], archive_url=str(root))).cells
    archive.note_account(AccountRun("default", True, "frr_of_another_account", own.created - timedelta(hours=1)))
    emulator.advance(emulator.settings.available_end + timedelta(days=2))
    with pytest.raises(ConfigurationError, match="does not know their report run frr_of_another_account"):
        load_reports(pipeline, source_of(emulator, ["payouts.itemized"], archive_url=str(root)))


@pytest.mark.long
def test_whose_files_an_archive_has_is_asked_once_for_a_load(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path
) -> None:
    how = {"archive_url": str(tmp_path / "kept")}
    load_reports(pipeline, source_of(emulator, REPORTS, **how))
    noted = [path for path in files_of(tmp_path / "kept") if path.startswith("accounts/")]
    assert len(noted) == 1
    run = noted[0].removesuffix(".json").rpartition("-")[2]
    for days, asked, most in ((1, 1, 1), (10, 1, 1), (50, 1, 2)):
        before = len(emulator.requests)
        emulator.advance(emulator.settings.available_end + timedelta(days=days))
        load_reports(pipeline, source_of(emulator, REPORTS, **how))
        paths = [request.path for request in emulator.requests[before:]]
        assert paths.count(f"/v1/reporting/report_runs/{run}") == asked
        noted = sorted(path for path in files_of(tmp_path / "kept") if path.startswith("accounts/"))
        assert len(noted) == most
