"""The landing zone on s3:// through the amazon provider's connection, against moto's server."""

from __future__ import annotations

import json
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from closingbell import landing
from closingbell.hooks.answer import Answer
from closingbell.landing import Landing, LandingError
from closingbell.pipelines import sec_financials
from closingbell.pipelines.base import Run
from closingbell.settings import settings


@pytest.fixture
def s3(database, monkeypatch, tmp_path):
    """A landing zone in a bucket of moto's server, which only the connection knows."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    login = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **login).create_bucket(Bucket="raw")
    connection = {
        "conn_type": "aws", "login": "AKIATEST", "password": "secret",
        "extra": {"region_name": "us-east-1", "endpoint_url": endpoint},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_LANDING_ZONE", json.dumps(connection))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(settings(), "landing_aws_conn_id", "landing_zone")
    yield Landing("s3://raw/closing/bell/", database)
    server.stop()


def answer(body: bytes | Path, endpoint: str = "companyfacts") -> Answer:
    at = datetime(2025, 12, 5, 23, tzinfo=UTC)
    return Answer(
        vendor="sec_edgar", endpoint=endpoint, key="0000320193", request={}, body=body, content_type=None,
        answered_at=at, fetched_at=at,
    )  # fmt: skip


def test_answers_land_and_come_back_from_s3(s3, tmp_path):
    landing_id = s3.put(answer(b'{"facts": {}}'))
    assert s3.put(answer(b'{"facts": {}}')) != landing_id
    assert s3.read(landing_id).body == b'{"facts": {}}'
    keys = s3._store.hook.list_keys("raw")
    assert len(keys) == 1
    assert keys[0].startswith("closing/bell/sec_edgar/companyfacts/")

    bulk = tmp_path / "companyfacts.zip"
    with zipfile.ZipFile(bulk, "w") as archive:
        archive.writestr("CIK0000320193.json", "{}")
    file = s3.read(s3.put(answer(bulk, "companyfacts_zip"))).file
    assert not isinstance(file, Path)
    assert file.read() == bulk.read_bytes()

    assert s3.check() == "s3://raw/closing/bell/"
    s3.drop(keys[0].removeprefix("closing/bell/"))
    with pytest.raises(LandingError, match="cannot be read"):
        s3.read(landing_id)


def test_of_a_bulk_zip_on_s3_only_what_a_batch_needs_is_fetched(s3, tmp_path, monkeypatch):
    members = {f"CIK{cik:010d}.json": os.urandom(3_000_000) for cik in range(1, 9)}
    bulk = tmp_path / "companyfacts.zip"
    with zipfile.ZipFile(bulk, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    landing_id = s3.put(answer(bulk, "companyfacts_zip"))
    fetched: list[int] = []
    readinto = landing._Ranges.readinto

    def counted(self, buffer) -> int:
        fetched.append(readinto(self, buffer))
        return fetched[-1]

    monkeypatch.setattr(landing._Ranges, "readinto", counted)
    run = Run(dag_id="d", run_id="r", partition_key="p", engine=s3.engine, landing=s3)
    assert sec_financials._members(run, landing_id) == list(range(1, 9))
    found = list(sec_financials.company_answers(run, {"landing_ids": [landing_id], "ciks": [3, 7]}))
    assert [(one.endpoint, one.key, one.content) for one in found] == [
        ("companyfacts", f"{cik:010d}", members[f"CIK{cik:010d}.json"]) for cik in (3, 7)
    ]
    assert sum(fetched) < bulk.stat().st_size / 2
