"""Downloads over a way that cuts, caches, compresses and dawdles: the file comes as Stripe has it, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stripe_reports_source.errors import DownloadError, StripeUnreachable, UnusableFile
from stripe_reports_source.plan.cells import Downloaded
from stripe_reports_source.plan.settings import RetryPolicy
from stripe_reports_source.plan.stripe_objects import ResultFile
from stripe_reports_source.stripe_api.client import StripeClient
from tests.http.scripted import Answer, Script, scripted

BODY = b"".join(b'"row %05d","1.00"\n' % number for number in range(4000))
HALF = len(BODY) // 2
CUT = Answer(BODY[:HALF], length=len(BODY))
WHOLE = Answer(BODY)
GONE = b'{"error": {"message": "No such file", "type": "invalid_request_error"}}'

Load = Callable[..., Downloaded]


def part(
    start: int, end: int = len(BODY), total: str = str(len(BODY)), headers: Mapping[str, str] | None = None
) -> Answer:
    return Answer(BODY[start:end], 206, {"Content-Range": f"bytes {start}-{end - 1}/{total}", **(headers or {})})


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(
        script: Script, size: int = len(BODY), on_bytes: Callable[[int], None] | None = None, **settings: Any
    ) -> Downloaded:
        policy = {"attempts": 4, **settings.pop("policy", {})}
        client = StripeClient(
            "rk_live_demo",
            api_base_url=script.url,
            files_base_url=script.url,
            retry=RetryPolicy(**policy),
            sleep=lambda seconds: None,
            **settings,
        )
        file = ResultFile("file_1", f"{script.url}/v1/files/file_1/contents", size)
        return client.download(file, tmp_path / "x.csv", on_bytes=on_bytes)

    return load


def assert_whole(found: Downloaded) -> None:
    assert found.path.read_bytes() == BODY
    assert (found.bytes, found.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())


def ranges(script: Script) -> list[str | None]:
    return [request.get("range") for request in script.requests]


@pytest.mark.parametrize(
    "resumed",
    [
        part(HALF - 18),
        part(HALF + 18),
        part(HALF, total="1"),
        Answer(BODY[HALF:], 206),
        Answer(BODY[HALF:], 206, {"Content-Range": f"bytes {HALF}-{len(BODY)}/{len(BODY)}"}),
        Answer(BODY[HALF:], 206, {"Content-Range": "bytes all"}),
        part(HALF, headers={"Content-Encoding": "gzip"}),
        part(HALF, headers={"ETag": '"2"'}),
    ],
    ids=["too early", "too late", "other total", "no range", "past the end", "odd range", "compressed", "other file"],
)
def test_a_part_that_does_not_fit_is_not_used(load: Load, resumed: Answer) -> None:
    first = Answer(CUT.body, headers={"ETag": '"1"'}, length=CUT.length)
    with scripted(first, resumed, WHOLE) as script:
        assert_whole(load(script))
    assert ranges(script) == [None, f"bytes={HALF}-", None]


@pytest.mark.parametrize(
    "resumed",
    [
        part(HALF),
        part(HALF, total="*"),
        Answer(BODY[HALF:], 206, {"content-range": f"  BYTES  {HALF}-{len(BODY) - 1}/{len(BODY)} "}),
        part(HALF, headers={"Content-Encoding": " Identity "}),
    ],
    ids=["as asked", "total unknown", "other case and spaces", "identity"],
)
def test_a_part_that_fits_goes_on_where_the_transfer_stopped(load: Load, resumed: Answer) -> None:
    with scripted(CUT, resumed) as script:
        assert_whole(load(script))
    assert ranges(script) == [None, f"bytes={HALF}-"]


def test_a_part_of_a_part_is_gone_on_from(load: Load) -> None:
    with scripted(CUT, part(HALF, HALF + 100), part(HALF + 100)) as script:
        assert_whole(load(script))
    assert ranges(script)[1:] == [f"bytes={HALF}-", f"bytes={HALF + 100}-"]


@pytest.mark.parametrize(("etag", "asked"), [('"abc"', '"abc"'), ('W/"abc"', None), ("abc", None), ("", None)])
def test_the_same_file_is_asked_for_where_stripe_names_it(load: Load, etag: str, asked: str | None) -> None:
    first = Answer(CUT.body, headers={"ETag": etag}, length=CUT.length)
    with scripted(first, WHOLE) as script:
        assert_whole(load(script))
    assert script.requests[1].get("if-range") == asked


def test_a_file_that_was_replaced_meanwhile_is_taken_whole(load: Load) -> None:
    older = Answer(BODY[:HALF].replace(b"1.00", b"2.00"), headers={"ETag": '"1"'}, length=len(BODY))
    with scripted(older, Answer(BODY, headers={"ETag": '"2"'})) as script:
        assert_whole(load(script))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(BODY)),
        ("X-GZip", gzip.compress(BODY)),
        (" identity , GZIP", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate, gzip", gzip.compress(zlib.compress(BODY))),
        ("IDENTITY", BODY),
    ],
)
def test_what_was_compressed_on_the_way_is_decoded_and_measured(load: Load, encoding: str, body: bytes) -> None:
    with scripted(Answer(body, headers={"Content-Encoding": encoding})) as script:
        assert_whole(load(script))
    assert len(script.requests) == 1
    assert script.requests[0]["accept-encoding"] == "identity"


def test_a_compressed_transfer_that_breaks_begins_anew(load: Load) -> None:
    packed = gzip.compress(BODY)
    broken = bytearray(packed)
    broken[len(broken) // 2] ^= 255
    encoded = {"Content-Encoding": "gzip"}
    with scripted(
        Answer(packed[: len(packed) // 2], headers=encoded, length=len(packed)),
        Answer(packed[: len(packed) // 2], headers=encoded),
        Answer(bytes(broken), headers=encoded),
        WHOLE,
    ) as script:
        assert_whole(load(script, policy={"attempts": 5}))
    assert ranges(script) == [None] * 4


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(BODY, headers={"Content-Encoding": "compress"}), "came encoded as compress"),
        (Answer(gzip.compress(BODY * 2), headers={"Content-Encoding": "gzip"}), "and more, decoded"),
        (Answer(gzip.compress(BODY)[:-500], headers={"Content-Encoding": "gzip"}), "before the transfer ended"),
        (Answer(b"<html>Please log in</html>", headers={"Content-Type": "Text/HTML; charset=utf-8"}), "a web page"),
        (Answer(BODY, 203), "HTTP 203"),
        (CUT, f"has {len(BODY)} bytes at Stripe, {HALF} arrived before the transfer broke"),
    ],
    ids=[
        "unknown encoding",
        "too much once decoded",
        "too little once decoded",
        "a proxy's page",
        "changed by a proxy",
        "always cut",
    ],
)
def test_a_fault_of_the_way_is_no_fault_of_the_file(load: Load, tmp_path: Path, answer: Answer, message: str) -> None:
    with scripted(answer) as script, pytest.raises(DownloadError, match=message) as caught:
        load(script)
    assert not isinstance(caught.value, UnusableFile)
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize(
    "answer", [Answer(BODY[:-5]), Answer(BODY + b"more"), Answer()], ids=["shorter", "longer", "empty"]
)
def test_a_whole_answer_of_another_size_is_believed_the_second_time(load: Load, answer: Answer) -> None:
    with scripted(answer, WHOLE) as script:
        assert_whole(load(script))
    assert [request.get("cache-control") for request in script.requests] == [None, "no-cache"]
    with scripted(answer) as script, pytest.raises(UnusableFile, match=f"has {len(BODY)} bytes at Stripe"):
        load(script)
    assert len(script.requests) == 2


def test_no_byte_after_those_that_arrived(load: Load) -> None:
    with scripted(CUT, Answer(b"", 416), WHOLE) as script:
        assert_whole(load(script))
    assert ranges(script) == [None, f"bytes={HALF}-", None]


def test_a_file_that_is_gone_is_not_a_proxy_that_does_not_know_it(load: Load) -> None:
    with scripted(Answer(GONE, 404)) as script, pytest.raises(UnusableFile, match="is gone"):
        load(script)
    with scripted(Answer(b"<html>404</html>", 404)) as script, pytest.raises(StripeUnreachable, match="HTTP 404"):
        load(script)


def test_an_empty_file(load: Load) -> None:
    with scripted(Answer()) as script:
        assert load(script, size=0).bytes == 0


def test_a_file_elsewhere_is_not_asked_for(load: Load) -> None:
    with scripted(WHOLE) as script, scripted(WHOLE) as other:
        elsewhere = Script((), url=other.url)
        client = StripeClient(
            "rk_live_demo",
            api_base_url=script.url,
            files_base_url=script.url,
            retry=RetryPolicy(),
            sleep=lambda seconds: None,
        )
        for url in (other.url, f"{other.url}\\@{script.url[7:]}", f"http://x@{script.url[7:]}", script.url + "\t"):
            with pytest.raises(DownloadError, match="the key is not sent there") as caught:
                client.download(ResultFile("file_1", f"{url}/x", 1), Path("x.csv"))
            assert not isinstance(caught.value, UnusableFile)
        assert elsewhere.requests == other.requests == script.requests == []


@pytest.mark.parametrize(
    ("step", "policy", "message"),
    [
        (100.0, {"least_rate": 1e6}, "at less than 1e\\+06 bytes a second"),
        (40.0, {"transfer_timeout": 30.0}, "arrived in 30 s"),
    ],
)
def test_a_transfer_that_dawdles_is_left(load: Load, step: float, policy: dict[str, float], message: str) -> None:
    seconds = itertools.count(0.0, step)  # that seem to pass between two looks at the clock
    with scripted(WHOLE) as script, pytest.raises(DownloadError, match=message) as caught:
        load(script, size=len(BODY) + 1, policy=policy, clock=lambda: next(seconds))
    assert not isinstance(caught.value, UnusableFile)


def test_a_large_file_may_be_cut_often(load: Load) -> None:
    body = bytes(8 << 20)
    step = 1 << 20

    def piece(start: int) -> Answer:
        left = body[start : start + step]
        headers = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        return Answer(left, 206 if start else 200, headers, length=len(body) - start)

    with scripted(*(piece(start) for start in range(0, len(body), step))) as script:
        assert load(script, size=len(body), policy={"attempts": 2}).bytes == len(body)
    assert len(script.requests) == 8


def test_who_reads_along_is_told_how_far_and_before_bytes_are_forgotten(load: Load, tmp_path: Path) -> None:
    told: list[tuple[int, bytes]] = []

    def hear(bytes_: int) -> None:
        told.append((bytes_, (tmp_path / "x.csv").read_bytes()))

    older = BODY.replace(b"1.00", b"2.00")
    first = Answer(older[:100], headers={"ETag": '"1"'}, length=len(BODY))
    with scripted(first, Answer(BODY, headers={"ETag": '"2"'})) as script:
        assert_whole(load(script, on_bytes=hear))
    begun_anew = [number for number, (bytes_, _) in enumerate(told) if bytes_ == 0]
    assert [told[number][1] for number in begun_anew] == [b"", older[:100]]
    assert all(content[:bytes_] == older[:bytes_] for bytes_, content in told[: begun_anew[1]])
    assert all(content == BODY[:bytes_] for bytes_, content in told[begun_anew[1] + 1 :])
    assert told[-1][0] == len(BODY)


def test_who_reads_along_goes_on_where_the_transfer_does(load: Load) -> None:
    told: list[int] = []
    with scripted(CUT, part(HALF)) as script:
        assert_whole(load(script, on_bytes=told.append))
    assert told == sorted(told)
    assert {HALF, len(BODY)} <= set(told)
