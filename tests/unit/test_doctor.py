"""The doctor: each trouble is found, with what to do; a warehouse in order raises no false alarm."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import Engine, create_engine, text

from closingbell import doctor
from closingbell.connections import Endpoint
from closingbell.settings import settings
from closingbell.warehouse.quota import Quota


def levels(findings) -> list[str]:
    return [finding.level for finding in findings]


def test_a_new_warehouse_is_in_order(database: Engine) -> None:
    findings = [
        *doctor._database(database),
        *doctor._migrations(database),
        *doctor._quota(database),
        *doctor._failures(database),
        *doctor._stages(database),
    ]
    assert set(levels(findings)) == {"ok"}


def test_an_unreachable_database_is_a_finding_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSINGBELL_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    settings.cache_clear()
    found = doctor.examine(None)
    assert (found[0].level, found[0].subject) == ("fail", "database")
    assert "\n" not in found[0].line()
    settings.cache_clear()


def test_missing_migrations_are_named(new_database) -> None:
    (finding,) = doctor._migrations(create_engine(new_database(None)))
    assert finding.level == "fail"
    assert "0001_ops" in finding.message
    assert finding.action == "run `closingbell migrate`"


def test_a_spent_day_budget_fails_and_an_old_one_does_not(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.vendor_quota (vendor, key, per_second, day, day_limit, day_used) VALUES "
                "('tiingo', 'a', 1, (clock_timestamp() AT TIME ZONE 'UTC')::date, 1000, 1000), "
                "('tiingo', 'b', 1, (clock_timestamp() AT TIME ZONE 'UTC')::date - 1, 1000, 1000)"
            )
        )
    spent, yesterday = doctor._quota(database)
    assert spent.level == "fail"
    assert spent.message.startswith("0 of 1000 requests left until ")
    assert yesterday.level == "ok"
    assert yesterday.message.startswith("1000 of 1000 requests left until ")


def test_a_throttled_vendor_is_a_warning(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.vendor_quota (vendor, key, per_second, tat) "
                "VALUES ('sec_edgar', 'all', 8, clock_timestamp() + interval '10 minutes')"
            )
        )
    (finding,) = doctor._quota(database)
    assert finding.level == "warn"
    assert "throttled for" in finding.message


@pytest.mark.parametrize(("days", "level"), [(400, "ok"), (100, "warn"), (10, "fail")])
def test_the_calendars_end_is_told_long_before(days: int, level: str) -> None:
    from closingbell.sessions import calendar

    end: date = calendar().last_session.date()
    (finding,) = doctor._calendar(end - timedelta(days=days))
    assert finding.level == level


def test_open_fetch_failures_are_counted_by_vendor(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.fetch_failures (vendor, endpoint, key, error, dag_id, run_id, resolved_at) VALUES "
                "('sec_edgar', 'companyfacts', '1', 'HTTP 500', 'd', 'r', NULL), "
                "('sec_edgar', 'companyfacts', '2', 'HTTP 500', 'd', 'r', NULL), "
                "('sec_edgar', 'companyfacts', '3', 'HTTP 500', 'd', 'r', clock_timestamp())"
            )
        )
    (finding,) = doctor._failures(database)
    assert finding.level == "warn"
    assert finding.message.startswith("2 open at sec_edgar companyfacts")


def test_an_abandoned_stage_is_a_warning_and_a_young_one_is_not(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.stages "
                "(stage_id, dag_id, run_id, table_name, partition_key, status, opened_at) VALUES "
                "('a', 'd', 'old', 'stock_prices', '2025-12-04', 'open', clock_timestamp() - interval '8 days'), "
                "('b', 'd', 'new', 'stock_prices', '2025-12-05', 'open', clock_timestamp()), "
                "('c', 'd', 'done', 'stock_prices', '2025-12-03', 'published', clock_timestamp() - interval '9 days')"
            )
        )
    (finding,) = doctor._stages(database)
    assert finding.level == "warn"
    assert "1 unpublished" in finding.message
    assert "of old" in finding.message


def score(engine: Engine, *sessions: str) -> None:
    """One score in each session."""
    columns = text(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'closingbell' "
        "AND table_name = 'ic_scores' AND is_nullable = 'NO' AND column_default IS NULL"
    )
    by_type = {"text": "x", "boolean": False, "timestamp with time zone": datetime(2025, 1, 1, tzinfo=UTC)}
    with engine.begin() as connection:
        needed = {name: by_type.get(kind, 1) for name, kind in connection.execute(columns)}
        for session in sessions:
            row = needed | {"session": session, "rating": "Hold", "confidence": "Low", "overall_score": 50}
            row = {name: value for name, value in row.items() if name in needed}
            names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO closingbell.ic_scores ({names}) VALUES ({values})"), row)


def test_a_session_without_scores_is_late_once_they_are_due(database: Engine) -> None:
    score(database, "2025-12-01", "2025-12-02", "2025-12-04")
    # the close of 2025-12-05 is 21:00 UTC; its scores are due four hours later
    (before,) = doctor._sessions(database, datetime(2025, 12, 6, 0, 30, tzinfo=UTC))
    (after,) = doctor._sessions(database, datetime(2025, 12, 6, 1, 30, tzinfo=UTC))
    assert before.message == "no scores for 2025-12-03"
    assert after.message == "no scores for 2025-12-03, 2025-12-05"
    assert after.level == "fail"
    assert "backfill" in after.action


def test_a_pipeline_that_no_longer_publishes_is_a_warning(database: Engine) -> None:
    assert set(levels(doctor._freshness(database))) == {"ok"}  # a new warehouse
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.load_ledger (stage_id, round, dataset, partition_key, content_sha256, parser_version, "
                "rows_in, rows_inserted, rows_updated, rows_unchanged, rows_quarantined, dag_id, run_id, loaded_at) "
                "SELECT dataset, 1, dataset, 'p', '', '1', 0, 0, 0, 0, 0, 'd', 'r', clock_timestamp() - age FROM "
                "(VALUES ('analyst_ratings', interval '5 days'), ('news_articles', interval '5 hours')) "
                "AS v(dataset, age)"
            )
        )
    found = {finding.subject: finding for finding in doctor._freshness(database)}
    assert found["fresh analyst_ratings"].level == "warn"
    assert found["fresh analyst_ratings"].message == "published 120 hours ago"
    assert "paused" in found["fresh analyst_ratings"].action
    assert found["fresh news_sentiment"].level == "ok"


def test_every_pipeline_of_its_own_is_watched() -> None:
    from closingbell.settings import REPOSITORY
    from closingbell.warehouse.tables import TABLES

    assert set(doctor.MUST_RUN) == {path.stem for path in (REPOSITORY / "dags").glob("*.py")}
    assert set(doctor.FRESH) <= set(doctor.MUST_RUN)
    assert {table for table, _ in doctor.FRESH.values()} <= set(TABLES)


def test_no_session_is_late_when_all_are_scored(database: Engine) -> None:
    score(database, "2025-12-04", "2025-12-05")
    (finding,) = doctor._sessions(database, datetime(2025, 12, 7, tzinfo=UTC))
    assert finding.level == "ok"


def test_many_sessions_without_scores_fail_once_there_were_scores(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2025, 12, 7, tzinfo=UTC)
    monkeypatch.delenv("CLOSINGBELL_MARKET_ENDS_ON", raising=False)
    settings.cache_clear()
    assert levels(doctor._sessions(database, now)) == ["warn"]
    score(database, "2025-10-01")
    (dead,) = doctor._sessions(database, now)
    assert (dead.level, "2025-10-01" in dead.message) == ("fail", True)
    monkeypatch.setenv("CLOSINGBELL_MARKET_ENDS_ON", "2025-12-05")
    settings.cache_clear()
    assert levels(doctor._sessions(database, now)) == ["warn"]
    monkeypatch.delenv("CLOSINGBELL_MARKET_ENDS_ON")
    settings.cache_clear()


class Paused:
    """Airflow's API on this machine: one DAG paused, and only what is known of the caller answered."""

    def __enter__(self) -> Paused:
        asked = self.authorizations = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer({"access_token": f"of {given['username']}"} if given["password"] == "word" else None)

            def do_GET(self) -> None:
                path = self.path.removeprefix("/api/v2").partition("?")[0]
                if path != "/monitor/health":
                    asked.append(self.headers["Authorization"])
                dags = [{"dag_id": name, "is_paused": name == "market_close"} for name in doctor.MUST_RUN]
                answers = {
                    "/monitor/health": {"scheduler": {"status": "healthy"}},
                    "/dags": {"dags": dags},
                    "/importErrors": {"import_errors": []},
                }
                known = path == "/monitor/health" or self.headers["Authorization"] != "Bearer wrong"
                self.answer(answers[path] if known else None)

            def answer(self, content: dict | None) -> None:
                self.send_response(200 if content else 401)
                self.end_headers()
                self.wfile.write(json.dumps(content or {}).encode())

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def airflow_of_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Sets CLOSINGBELL_AIRFLOW_<NAME>."""

    def given(**values: str) -> None:
        for name in ("url", "user", "password"):
            monkeypatch.setenv(f"CLOSINGBELL_AIRFLOW_{name.upper()}", values.get(name, ""))
        settings.cache_clear()

    yield given
    settings.cache_clear()


def test_paused_dags_of_a_deployment_are_asked_for_by_login_and_by_token(airflow_of_settings) -> None:
    with Paused() as airflow:
        for login, shown in (({"user": "doc", "password": "word"}, "of doc"), ({"password": "a-token"}, "a-token")):
            airflow_of_settings(url=airflow.url, **login)
            found = {finding.subject: finding for finding in doctor._airflow(None)}
            assert found["airflow"].message == f"healthy at {airflow.url}"
            assert (found["paused DAGs"].level, found["paused DAGs"].message) == ("warn", "market_close")
            assert airflow.authorizations[-1] == f"Bearer {shown}"
        for login in ({"user": "doc", "password": "wrong"}, {"password": "wrong"}):
            airflow_of_settings(url=airflow.url, **login)
            (refused,) = doctor._airflow(None)
            assert refused.level == "fail"
            assert "refused the" in refused.message
            assert "wrong" not in refused.line()


def test_what_nobody_could_ask_is_a_warning_and_not_ok(airflow_of_settings) -> None:
    airflow_of_settings(url="http://airflow.example.com")
    (finding,) = doctor._airflow(None)
    assert finding.level == "warn"
    assert "not checked" in finding.message
    assert "CLOSINGBELL_AIRFLOW_URL" in finding.action


def test_a_tested_hook_is_closed(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    class Hook:
        def __init__(self, endpoint: Endpoint, quota: Quota) -> None:
            self.conn_id = endpoint.conn_id

        @staticmethod
        def hosts() -> list[str]:
            return ["one.example.com"]

        def test(self, host: str = "") -> tuple[bool, str]:
            return True, "answers"

        def close(self) -> None:
            closed.append(self.conn_id)

    monkeypatch.setattr("closingbell.connections.configured", lambda _: True)
    monkeypatch.setattr("closingbell.connections.resolve", lambda conn_id: Endpoint(conn_id, "https://example.com"))
    monkeypatch.setattr("closingbell.hooks.hook_class", lambda _: Hook)
    assert set(levels(doctor._connections(database))) == {"ok"}
    assert closed == list(doctor.CONNECTIONS)
