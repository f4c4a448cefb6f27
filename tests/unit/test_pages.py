"""The pages inside Airflow: closed without a login, and right about why a board is late."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from closingbell.orchestration import pages
from closingbell.orchestration.pages import late

CLOSE = datetime(2025, 12, 5, 21, 0, tzinfo=UTC)
ROUTES = ["/run?dag_id=market_close&run_id=r", "/late", "/late?session=2025-12-05"]


@pytest.fixture
def app():
    return pages.make_app()


def logged_in(app, monkeypatch, *, may_look: bool) -> TestClient:
    from airflow.api_fastapi.core_api import security

    app.dependency_overrides[security.get_user] = lambda: SimpleNamespace(username="somebody")
    auth_manager = SimpleNamespace(is_authorized_view=lambda access_view, user: may_look)
    monkeypatch.setattr(security, "get_auth_manager", lambda: auth_manager)
    return TestClient(app)


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_login_is_401(app, route):
    assert TestClient(app).get(route).status_code == 401


@pytest.mark.parametrize("route", ROUTES)
def test_with_a_forged_token_is_refused(app, route, monkeypatch):
    from airflow.api_fastapi.core_api import security

    async def nobody(token):
        raise security.InvalidTokenError("forged")

    manager = SimpleNamespace(get_user_from_token=nobody)
    monkeypatch.setattr(security, "get_auth_manager", lambda: manager)
    client = TestClient(app, cookies={"_token": "forged"}, raise_server_exceptions=False)
    assert client.get(route, headers={"Authorization": "Bearer forged"}).status_code in (401, 403)


@pytest.mark.parametrize("route", ROUTES)
def test_login_without_the_right_is_403(app, route, monkeypatch):
    assert logged_in(app, monkeypatch, may_look=False).get(route).status_code == 403


def test_every_route_asks_for_a_login(app):
    """Fail closed: what the framework adds by itself (schema, docs) would be open."""
    assert {route.path for route in app.routes} == {"/run", "/late"}
    assert all(route.dependencies for route in app.routes)


def test_no_session_is_404(app, monkeypatch):
    answer = logged_in(app, monkeypatch, may_look=True).get("/late?session=2025-11-27")
    assert (answer.status_code, answer.json()["detail"]) == (404, "2025-11-27 is no New York session")


def test_run_page_shows_what_the_run_left(app, monkeypatch):
    of_run = {
        "dag_id": "market_close",
        "run_id": "r<script>",
        "loads": [
            dict.fromkeys(
                ["rows_in", "rows_updated", "rows_deleted", "rows_unchanged", "rows_older", "rows_quarantined"], 0
            )
            | {"table_name": "stock_prices", "partition_key": "2025-12-05", "status": "published", "batches": 1}
            | {"rows_staged": 4600, "rows_inserted": 4599, "opened_at": CLOSE, "published_at": CLOSE}
        ],
        "audits": [
            {"table_name": "stock_prices", "expectation": "complete", "severity": "warning", "passed": False}
            | {"observed": '{"missing": 3}', "audited_at": CLOSE}
        ],
        "quarantine": [
            {
                "table_name": "stock_prices",
                "rule": "negative close",
                "rows": 1,
                "landing_id": 7,
                "content": '{"close":-1}',
            }
        ],
        "failures": [
            {"vendor": "sec_edgar", "endpoint": "companyfacts", "key": "0000320193", "error": "<b>503</b>"}
            | {"attempts": 2, "failed_at": CLOSE, "resolved_at": None}
        ],
        "quota": [
            {
                "vendor": "polygon",
                "key": "default",
                "per_second": 0.0833,
                "day_limit": 500,
                "day_used": 500,
                "symbol_limit": None,
            }
            | {"day_left": 0, "resets_at": CLOSE, "wait": 2.5}
        ],
        "most": 200,
    }
    monkeypatch.setattr(pages, "run_facts", lambda dag_id, run_id: of_run)
    answer = logged_in(app, monkeypatch, may_look=True).get("/run?dag_id=market_close&run_id=r")
    assert answer.status_code == 200
    for shown in (
        "4,599",
        "negative close",
        "missing",
        "0000320193",
        "tried again by the next run",
        "until 2025-12-05",
    ):
        assert shown in answer.text
    assert "<script>" not in answer.text
    assert "<b>503" not in answer.text


def facts(*, minutes: int = 180, published=(), runs=(), paused=(), first=150, last=150) -> late.Facts:
    return late.Facts(
        session="2025-12-05",
        now=CLOSE + timedelta(minutes=minutes),
        closes=CLOSE,
        due=CLOSE + timedelta(minutes=120),
        scores_due=CLOSE + timedelta(minutes=240),
        published=dict.fromkeys(published, CLOSE + timedelta(minutes=last)),
        first_published=dict.fromkeys(published, CLOSE + timedelta(minutes=first)),
        runs={run.dag_id: run for run in runs},
        paused=frozenset(paused),
    )


def run(dag_id: str, state: str, **kwargs) -> late.DagRun:
    return late.DagRun(dag_id=dag_id, run_id=f"{dag_id}_run", state=state, start=CLOSE, **kwargs)


def answer(of: late.Facts) -> tuple[str, str]:
    verdict = late.verdict(of, late.steps(of))
    return verdict.name, verdict.state


CLOSED = run("market_close", "success")
SCORED = run("scores_and_recommendations", "success")


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (facts(minutes=-30), ("Close", "waiting")),
        (facts(minutes=30), ("Close", "waiting")),
        (facts(), ("market_close", "missing")),
        (facts(paused=["market_close"]), ("market_close", "failed")),
        (facts(runs=[run("market_close", "running")]), ("market_close", "running")),
        (facts(runs=[run("market_close", "running", waiting_tasks=["vendor_complete"])]), ("market_close", "waiting")),
        (facts(runs=[run("market_close", "failed", failed_tasks=["prices.audit"])]), ("market_close", "failed")),
        (facts(runs=[run("market_close", "queued")], paused=["market_close"]), ("market_close", "failed")),
        (facts(runs=[CLOSED], published=["stock_prices", "valuation_ratios"]), ("technical_indicators", "missing")),
        (facts(runs=[CLOSED], published=late.TABLES), ("scores_and_recommendations", "missing")),
        (
            facts(runs=[CLOSED], published=late.TABLES, paused=["scores_and_recommendations"]),
            ("scores_and_recommendations", "failed"),
        ),
        (facts(runs=[CLOSED, SCORED], published=late.TABLES), ("ic_scores", "missing")),
        (facts(runs=[CLOSED, SCORED], published=[*late.TABLES, "ic_scores"]), ("ic_scores", "done")),
    ],
)
def test_verdict_is_the_first_gap_of_the_chain(of, expected):
    assert answer(of) == expected


def test_verdict_names_the_failed_task_and_what_to_do():
    of = facts(runs=[run("market_close", "failed", failed_tasks=["prices.audit"])])
    verdict = late.verdict(of, late.steps(of))
    assert "prices.audit" in verdict.what
    assert "clear the task" in verdict.do
    assert all(step.do for step in late.steps(of) if step.state in ("failed", "missing"))


def test_a_session_scored_again_is_late_no_more_than_it_was():
    def scored(first: int, last: int) -> late.Step:
        of = facts(published=[*late.TABLES, "ic_scores"], runs=[CLOSED, SCORED], minutes=9000, first=first, last=last)
        return late.steps(of)[-1]

    assert not scored(150, 8000).late
    assert scored(150, 8000).what == "Published 2025-12-05 23:30 UTC, last 2025-12-11 10:20 UTC"
    assert scored(8000, 8000).late


def test_a_score_that_is_older_than_what_it_is_made_of_is_stale_and_waits_for_reconcile():
    of = facts(published=[*late.TABLES, "ic_scores"], runs=[CLOSED, SCORED])
    assert late.verdict(of, late.steps(of)).state == "done"
    of = replace(of, stale=["ratings came late", "news came late"])
    verdict = late.verdict(of, late.steps(of))
    assert (verdict.name, verdict.state) == ("ic_scores", "waiting")
    assert verdict.what == "Published 2025-12-05 23:30 UTC, and stale: ratings came late; news came late"
    assert "reconcile" in verdict.do


def test_a_deferred_task_waits():
    assert "deferred" in pages.WAITING


def test_late_page_renders_the_chain(app, monkeypatch):
    of = facts(runs=[run("market_close", "failed", failed_tasks=["prices.audit"])])
    chain = late.steps(of)
    shown = {"facts": of, "steps": chain, "verdict": late.verdict(of, chain), "last_scored": "2025-12-04"}
    shown["stale"] = {date(2025, 12, 4): ["ratings came late", "news came late"]}
    monkeypatch.setattr(pages, "late_facts", lambda session, now: shown)
    page = logged_in(app, monkeypatch, may_look=True).get("/late").text
    assert "failed in prices.audit" in page
    assert "/dags/market_close/runs/market_close_run" in page
    assert "last scored session: 2025-12-04" in page
    assert "<td>ratings came late; news came late</td>" in page


def test_what_an_audit_saw_is_told_in_words():
    assert pages.found('{"rows": [], "unexpected": 0}') == "none"
    seen = '{"unexpected": 1200, "rows": [{"session": "2025-12-05", "bars": 3}], "raised": false}'
    assert pages.found(seen) == "1,200 rows; session 2025-12-05, bars 3"
    assert pages.found('{"error": "no such column", "raised": true}') == "error: no such column; raised: True"
