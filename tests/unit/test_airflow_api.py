"""Airflow's API on a machine that is too busy to answer in time: what is asked again, and what is not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from closingbell import airflow_api
from closingbell.airflow_api import AirflowAPI, AirflowError


class Busy:
    """Answers after so many requests that time out."""

    def __init__(self, api: AirflowAPI, monkeypatch: pytest.MonkeyPatch, timeouts: int) -> None:
        self.asked: list[str] = []
        self.timeouts = timeouts
        api._client.headers["Authorization"] = "Bearer there already"
        monkeypatch.setattr(api._client, "request", self.request)
        monkeypatch.setattr(airflow_api, "_WAIT_SECONDS", 0)

    def request(self, method: str, path: str, **_: Any) -> httpx.Response:
        self.asked.append(method)
        if len(self.asked) <= self.timeouts:
            raise httpx.ReadTimeout("timed out")
        return httpx.Response(200, json={"path": path})


@pytest.fixture
def api() -> AirflowAPI:
    return AirflowAPI("http://localhost:1", "admin", "word")


def test_a_question_that_times_out_is_asked_again(api: AirflowAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Busy(api, monkeypatch, timeouts=2)
    assert api.get("/dags") == {"path": "/api/v2/dags"}
    assert busy.asked == ["GET"] * 3


def test_an_airflow_that_is_gone_is_an_error(api: AirflowAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Busy(api, monkeypatch, timeouts=9)
    with pytest.raises(AirflowError, match="does not answer GET /dags"):
        api.get("/dags")
    assert busy.asked == ["GET"] * 3


def test_what_changes_something_is_sent_once(api: AirflowAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Busy(api, monkeypatch, timeouts=1)
    with pytest.raises(AirflowError, match="does not answer POST"):
        api.trigger("market_close", {}, "2025-12-05")
    assert busy.asked == ["POST"]
