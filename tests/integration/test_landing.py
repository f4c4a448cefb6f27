"""The landing zone on a local folder, real PostgreSQL behind it."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from closingbell.hooks.answer import Answer
from closingbell.landing import LandingError

FETCHED = datetime(2025, 12, 5, 23, 5, 1, 123456, tzinfo=UTC)


def answer(body: bytes | Path, *, key: str = "0000320193", minutes: int = 0, endpoint: str = "companyfacts") -> Answer:
    return Answer(
        vendor="sec_edgar",
        endpoint=endpoint,
        key=key,
        request={"method": "GET", "path": f"/api/xbrl/companyfacts/CIK{key}.json"},
        body=body,
        content_type="application/json",
        answered_at=FETCHED + timedelta(minutes=minutes),
        fetched_at=FETCHED + timedelta(minutes=minutes),
    )


def test_an_answer_comes_back_as_it_was_landed(landing):
    given = answer(b'{"facts": {}}')
    read = landing.read(landing.put(given))
    for field in ("vendor", "endpoint", "key", "request", "body", "content_type", "answered_at", "fetched_at"):
        assert getattr(read, field) == getattr(given, field), field


def test_the_same_bytes_twice_are_one_file_and_two_rows(landing, database):
    first, second = landing.put(answer(b"same")), landing.put(answer(b"same", minutes=5))
    assert first != second
    with database.connect() as connection:
        assert connection.scalar(text("SELECT count(DISTINCT path) FROM ops.landings")) == 1
    files = [path for path in Path(landing.root).rglob("*") if path.is_file()]
    assert len(files) == 1
    assert gzip.decompress(files[0].read_bytes()) == b"same"


def test_latest_and_history_follow_the_fetch_time_not_the_order_of_landing(landing):
    late = landing.put(answer(b"late", minutes=10))
    early = landing.put(answer(b"early"))
    other = landing.put(answer(b"other", key="0001045810", minutes=5))
    assert landing.latest("sec_edgar", "companyfacts") == {"0000320193": late, "0001045810": other}
    assert landing.latest("sec_edgar", "companyfacts", ["0001045810"]) == {"0001045810": other}
    assert landing.latest("sec_edgar", "companyfacts", []) == {}
    assert landing.history("sec_edgar", "companyfacts") == [early, other, late]


def test_an_altered_file_is_refused(landing):
    landing_id = landing.put(answer(b"true"))
    (file,) = (path for path in Path(landing.root).rglob("*.gz"))
    file.write_bytes(gzip.compress(b"false"))
    with pytest.raises(LandingError, match=r"0000320193.*not what was landed"):
        landing.read(landing_id)
    file.unlink()
    with pytest.raises(LandingError, match="fetch it again"):
        landing.read(landing_id)


def test_a_large_file_is_landed_and_read_as_a_file(landing, tmp_path):
    bulk = tmp_path / "companyfacts.zip"
    with zipfile.ZipFile(bulk, "w") as archive:
        archive.writestr("CIK0000320193.json", "{}")
    read = landing.read(landing.put(answer(bulk, key="all", endpoint="companyfacts_zip")))
    assert isinstance(read.body, Path)
    assert read.body != bulk
    assert read.body.read_bytes() == bulk.read_bytes()


def test_an_unknown_landing_is_named(landing):
    with pytest.raises(LandingError, match="landing 77"):
        landing.read(77)
