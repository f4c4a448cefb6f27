"""The tasks around the load path: whose session they write, what they log, whom they tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from closingbell.orchestration import groups, metrics, notify
from closingbell.settings import Settings, settings

told: list[dict] = []


class Notifier:
    """Stands for an Airflow notifier."""

    def __call__(self, context) -> None:
        told.append(context)


def broken(context) -> None:
    raise RuntimeError("no such channel")


@pytest.fixture(autouse=True)
def clean():
    told.clear()
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def in_task(monkeypatch):
    """Makes the context of a running task, and opens runs without a database."""
    from closingbell.pipelines import base

    monkeypatch.setattr(base, "open_run", lambda *run: run)

    def make(partition_key=None, **params):
        run_after = datetime(2025, 12, 6, 3, 0, tzinfo=UTC)  # 22:00 New York on the 5th
        dag_run = SimpleNamespace(dag_id="d", run_id="r", partition_key=partition_key, run_after=run_after)
        monkeypatch.setattr(groups, "get_current_context", lambda: {"dag_run": dag_run, "params": params})

    return make


@pytest.mark.parametrize("key", ["2025-11-27", "2025-11-29", "today", "2025-12-5 "])
def test_partition_key_that_is_no_session_is_refused(in_task, key):
    in_task(key)
    with pytest.raises(AirflowFailException, match="no New York session"):
        groups.current_run(by_session=True)


@pytest.mark.parametrize(
    ("form", "key", "sessions"),
    [
        ({}, "2025-12-05", None),  # the last session that had closed when the run was due
        ({"session": "2025-11-28"}, "2025-11-28", None),
        ({"session": "2025-11-28", "last_session": "2025-11-28"}, "2025-11-28", None),
        (  # Thanksgiving is the 27th, and a weekend follows
            {"session": "2025-11-26", "last_session": "2025-11-30"},
            "2025-11-26..2025-11-28",
            ["2025-11-26", "2025-11-28"],
        ),
    ],
)
def test_form_names_a_session_or_a_range(in_task, form, key, sessions):
    in_task(**{"session": None, "last_session": None} | form, full=True)
    expected = {"full": True} | ({"sessions": sessions} if sessions else {})
    assert groups.current_run(by_session=True) == ("d", "r", key, expected)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"session": "2025-11-27"}, "no New York session"),
        ({"session": "2025-12-08"}, "2025-12-08 has not closed yet: 2025-12-05 is the last session that has"),
        ({"session": "2025-12-01", "last_session": "2031-01-02"}, "has not closed yet"),
        ({"session": "2025-11-29", "last_session": "2025-11-30"}, "holds no New York session"),
        ({"session": "2025-12-05", "last_session": "2025-12-01"}, "exchange them"),
        ({"last_session": "2025-12-01"}, "fill in 'Session'"),
        ({"session": "1980-01-02", "last_session": "2025-12-01"}, "known from 1990"),
    ],
)
def test_form_that_makes_no_sense_ends_the_run_with_what_to_do(in_task, form, said):
    in_task(**form)
    with pytest.raises(AirflowFailException, match=said):
        groups.current_run(by_session=True)


def test_partition_key_and_form_must_not_contradict_each_other(in_task):
    in_task("2025-12-04", session="2025-12-04")
    assert groups.current_run(by_session=True)[2] == "2025-12-04"
    for form in ({"session": "2025-12-05"}, {"session": "2025-12-03", "last_session": "2025-12-04"}):
        in_task("2025-12-04", **form)
        with pytest.raises(AirflowFailException, match="leave one of them empty"):
            groups.current_run(by_session=True)


def test_last_session_of_a_market_that_stands_still(in_task, monkeypatch):
    monkeypatch.setenv("CLOSINGBELL_MARKET_ENDS_ON", "2017-11-10")
    settings.cache_clear()
    in_task(session=None, last_session=None)
    assert groups.current_run(by_session=True)[2] == "2017-11-10"
    in_task(session="2017-11-13")
    with pytest.raises(AirflowFailException, match="2017-11-10 is the last session"):
        groups.current_run(by_session=True)


class Events:
    """Stands for the outlet events of a task."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __getitem__(self, asset):
        return self

    def add_partitions(self, keys) -> None:
        self.keys += keys


@pytest.mark.parametrize(
    ("key", "form", "emitted"),
    [
        ("2025-12-05", {}, []),  # Airflow's own event carries the run's key
        (None, {"session": "2025-11-26", "last_session": "2025-12-01"}, ["2025-11-26", "2025-11-28", "2025-12-01"]),
        (None, {}, ["2025-12-05"]),
    ],
)
def test_every_session_of_the_run_starts_its_scores(monkeypatch, key, form, emitted):
    from closingbell.pipelines import base

    def open_run(dag_id, run_id, partition_key, params):
        of = {"dag_id": dag_id, "run_id": run_id, "partition_key": partition_key, "params": params}
        return base.Run(**of, engine=None, landing=None)

    monkeypatch.setattr(base, "open_run", open_run)
    events = Events()
    dag_run = SimpleNamespace(
        dag_id="d", run_id="r", partition_key=key, run_after=datetime(2025, 12, 6, 3, 0, tzinfo=UTC)
    )
    context = {"dag_run": dag_run, "params": form, "outlet_events": events}
    monkeypatch.setattr(groups, "get_current_context", lambda: context)
    groups.session_closed()
    assert events.keys == emitted


def test_run_of_a_session_writes_that_session(in_task):
    in_task("2025-12-05", dry_run=False)
    assert groups.current_run(by_session=True) == ("d", "r", "2025-12-05", {"dry_run": False})


def test_run_without_sessions_is_named_by_its_new_york_day(in_task):
    in_task()
    assert groups.current_run()[2] == "2025-12-05"


def test_reconcile_takes_the_form_s_session_or_the_last_that_closed(in_task, monkeypatch):
    in_task(session="2025-11-28")
    assert groups.current_run()[2] == "2025-11-28"
    in_task(session=None)
    assert groups.current_run()[2] == "2025-12-05"
    monkeypatch.setenv("CLOSINGBELL_MARKET_ENDS_ON", "2017-11-10")
    settings.cache_clear()
    assert groups.current_run()[2] == "2017-11-10"


def test_log_says_done_of_total_and_the_expected_end():
    started = datetime(2025, 12, 5, 23, 0, tzinfo=UTC)
    now = started + timedelta(minutes=10)
    assert groups.progress(5, 20, started, now) == "5 of 20 done, expected end 2025-12-05 23:40 UTC"
    assert groups.progress(20, 20, started, now) == "20 of 20 done"
    assert groups.progress(6, 20, started, now, before=1) == "6 of 20 done, expected end 2025-12-05 23:38 UTC"
    assert groups.progress(1, 20, started, now, before=1) == "1 of 20 done"  # no time was measured yet


def test_freshness_is_the_age_of_the_last_session():
    def age(key: str, **params) -> float | None:
        run = SimpleNamespace(partition_key=key, params=params)
        return metrics.freshness(run, "prices", datetime(2025, 11, 28, 20, 0, tzinfo=UTC))

    assert age("2025-11-28") == 7200  # 13:00 close
    assert age("2025-11-26..2025-11-28", sessions=["2025-11-26", "2025-11-28"]) == 7200
    assert age("2025-11-27") is None


def test_metrics_report_rows_duration_success_and_freshness(monkeypatch):
    from airflow.sdk.observability import stats

    from closingbell.warehouse.publish import Publication

    sent = {}
    for kind in ("incr", "timing", "gauge"):
        monkeypatch.setattr(stats, kind, lambda name, value=1, **_: sent.update({name: value}))
    run = SimpleNamespace(partition_key="2025-12-05", params={})
    values = {field: 60 if field == "rows_in" else 0 for field in Publication.__dataclass_fields__}
    metrics.published(run, "prices", {"stock_prices": Publication(**values).counts()}, since=datetime.now(UTC))
    assert sent["closing_bell.prices.success"] == 1
    assert sent["closing_bell.prices.stock_prices.rows_in"] == 60
    rows = {name.rpartition("_")[2] for name in sent if ".stock_prices.rows_" in name}
    assert rows == {"in", "inserted", "updated", "unchanged", "quarantined"}
    assert sent["closing_bell.prices.freshness_seconds"] > 0
    assert isinstance(sent["closing_bell.prices.duration"], timedelta)


def test_settings_turn_into_airflow_s_logs_and_metrics():
    assert metrics.environment(Settings(_env_file=None)) == {}
    statsd = Settings(_env_file=None, json_logs=True, metrics="statsd", metrics_endpoint="stats:9125")
    assert metrics.environment(statsd) == {
        "AIRFLOW__LOGGING__JSON_LOGS": "True",
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "stats",
        "AIRFLOW__METRICS__STATSD_PORT": "9125",
    }
    otel = metrics.environment(Settings(_env_file=None, metrics="otel", metrics_endpoint="https://collector:4318"))
    assert otel["AIRFLOW__METRICS__OTEL_HOST"] == "collector"
    assert otel["AIRFLOW__METRICS__OTEL_SSL_ACTIVE"] == "True"
    with pytest.raises(ValueError, match="CLOSINGBELL_METRICS_ENDPOINT"):
        metrics.environment(Settings(_env_file=None, metrics="statsd"))


def test_failed_run_tells_the_configured_notifier(monkeypatch, caplog):
    monkeypatch.setenv("CLOSINGBELL_NOTIFIER", f"{__name__}.Notifier")
    run = SimpleNamespace(dag_id="market_close", run_id="r", partition_key="2025-12-05")
    notify.run_failed({"dag_run": run})
    assert told == [{"dag_run": run}]
    assert "2025-12-05" in caplog.text


def test_failed_run_of_a_range_names_it(caplog):
    conf = {"session": "2025-11-24", "last_session": "2025-12-05"}
    notify.run_failed({"dag_run": SimpleNamespace(dag_id="market_close", run_id="r", partition_key=None, conf=conf)})
    assert "session 2025-11-24 to 2025-12-05" in caplog.text


@pytest.mark.parametrize("path", ["no.such.module.Notifier", f"{__name__}.broken"])
def test_notifier_that_fails_is_logged_and_hides_nothing(monkeypatch, caplog, path):
    monkeypatch.setenv("CLOSINGBELL_NOTIFIER", path)
    notify.run_failed({"dag_run": SimpleNamespace(dag_id="d", run_id="r", partition_key=None)})
    assert "correct CLOSINGBELL_NOTIFIER" in caplog.text


def test_late_session_tells_the_configured_notifier(monkeypatch, caplog):
    import asyncio

    monkeypatch.setenv("CLOSINGBELL_NOTIFIER", f"{__name__}.Notifier")
    late = {"dag_run": {"dag_id": "market_close", "dag_run_id": "r", "partition_key": "2025-12-05"}}
    asyncio.run(notify.session_late(context=late))
    assert told == [late]
    assert "is late" in caplog.text


def test_sessions_without_scores_are_told(monkeypatch, caplog):
    """The gap that no deadline sees: a deadline needs a run, and a paused DAG or a dead scheduler made none."""
    from closingbell.pipelines import reconcile

    monkeypatch.setenv("CLOSINGBELL_NOTIFIER", f"{__name__}.Notifier")
    run = SimpleNamespace(engine=None, params={})
    monkeypatch.setattr(groups, "current_run", lambda: run)
    monkeypatch.setattr(metrics, "ages", lambda run: None)
    monkeypatch.setattr(groups, "get_current_context", lambda: {"run_id": "r"})
    late = [datetime(2025, 12, 4).date(), datetime(2025, 12, 5).date()]
    monkeypatch.setattr(reconcile, "late_sessions", lambda engine, now: late)
    assert groups.tell_late() == ["2025-12-04", "2025-12-05"]
    assert told == [{"run_id": "r", "late_sessions": ["2025-12-04", "2025-12-05"]}]
    assert "No scores in time for 2025-12-04, 2025-12-05" in caplog.text
    told.clear()
    late.clear()
    assert groups.tell_late() == []
    assert told == []


@pytest.mark.parametrize(
    ("resets_in", "ends"),
    [
        (timedelta(hours=24), "TaskDeferred"),  # a day's requests
        (timedelta(days=9), "AirflowFailException"),  # a month's symbols
    ],
)
def test_a_day_s_budget_is_waited_for_and_a_month_s_fails_with_what_to_do(resets_in, ends):
    from closingbell.orchestration.waiting import deferring
    from closingbell.warehouse.quota import QuotaExhausted

    spent = QuotaExhausted("tiingo", "default", 500, 500, datetime.now(UTC) + resets_in, "different symbols")
    with pytest.raises((AirflowFailException, TaskDeferred)) as left, deferring():
        raise spent
    assert type(left.value).__name__ == ends
    if ends == "AirflowFailException":
        assert "500 of 500 different symbols are spent" in str(left.value)
        assert "raise the plan in the vendor's connection or ask for fewer tickers" in str(left.value)
