"""What an operator would look at, as findings: ok, warn or fail, and what to do.

In: the warehouse of this process, and the stack that is up, if any. Out: Findings in the order of the checks. A check
that cannot be made is a finding too; nothing is changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from closingbell.demo import UNPAUSE
from closingbell.settings import settings
from closingbell.stack import State, airflow

Level = Literal["ok", "warn", "fail"]

CONNECTIONS = ("sec_edgar", "polygon", "tiingo", "yahoo", "reference", "benzinga", "marketaux", "gemini", "web")
MUST_RUN = (
    "market_close", "scores_and_recommendations", "sec_financials", "universe", "insider_trades",
    "institutional_holdings", "analyst_ratings", "news_sentiment", "reconcile", "housekeeping",
)  # fmt: skip
FRESH = {
    "insider_trades": ("insider_trades", timedelta(days=4)),  # a long weekend
    "institutional_holdings": ("institutional_holdings", timedelta(days=4)),
    "analyst_ratings": ("analyst_ratings", timedelta(days=4)),
    "news_sentiment": ("news_articles", timedelta(days=1)),
}
"""DAG -> the table that each of its runs publishes, new rows or not, and how long ago that may be."""
_VERSION = 150000
_DISK_WARN, _DISK_FAIL = 20 * 1024**3, 2 * 1024**3
_CALENDAR_WARN, _CALENDAR_FAIL = timedelta(days=180), timedelta(days=30)
_LOOK_BACK = 10  # sessions


@dataclass(frozen=True)
class Finding:
    """One checked thing; `action` says what to do where it is not ok."""

    level: Level
    subject: str
    message: str
    action: str = ""

    def line(self) -> str:
        """For a terminal."""
        return f"{self.level:<4}  {self.subject:<22} {self.message}" + (f" -> {self.action}" if self.action else "")


def examine(state: State | None) -> list[Finding]:
    """Every check. Without a database the others that need it are left out."""
    from closingbell.warehouse import db

    try:
        engine = db.engine()
        findings = list(_database(engine))
    except (SQLAlchemyError, RuntimeError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        findings = [Finding("fail", "database", reason, "start it, or set CLOSINGBELL_DATABASE_URL")]
        return [*findings, *_disk(), *_calendar(datetime.now(UTC).date())]
    checks: list[Callable[[], Iterator[Finding]]] = [
        lambda: _migrations(engine),
        lambda: _connections(engine),
        _disk,
        lambda: _quota(engine),
        lambda: _calendar(datetime.now(UTC).date()),
        lambda: _airflow(state),
        lambda: _sessions(engine, datetime.now(UTC)),
        lambda: _freshness(engine),
        lambda: _failures(engine),
        lambda: _stages(engine),
    ]
    for check in checks:
        try:
            findings += check()
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
            findings.append(
                Finding("fail", "warehouse", reason, "run `closingbell migrate`, then `closingbell doctor`")
            )
    return findings


def _database(engine: Engine) -> Iterator[Finding]:
    from closingbell.warehouse import db

    row = db.query(engine, "doctor_database").row(0, named=True)
    version = f"PostgreSQL {row['version'] // 10000}.{row['version'] % 10000}"
    name = f"{version}, database {engine.url.database}, {row['bytes'] / 1024**2:.0f} MiB"
    if row["version"] < _VERSION:
        yield Finding("fail", "database", name, "Closing Bell needs PostgreSQL 15 or later")
    else:
        yield Finding("ok", "database", name)
    extensions = set(row["extensions"]) - {"plpgsql"}
    yield Finding("ok", "extensions", ", ".join(sorted(extensions)) or "none (none is needed; TimescaleDB is optional)")


def _migrations(engine: Engine) -> Iterator[Finding]:
    from closingbell.warehouse import db

    if pending := db.pending_migrations(engine.url):
        yield Finding(
            "fail", "migrations", f"{len(pending)} missing: {', '.join(pending)}", "run `closingbell migrate`"
        )
    else:
        yield Finding("ok", "migrations", "all applied")


def _connections(engine: Engine) -> Iterator[Finding]:
    from closingbell.connections import configured
    from closingbell.hooks import probe

    for conn_id in CONNECTIONS:
        subject = f"connection {conn_id}"
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        wanted = conn_id in ("sec_edgar", settings().price_vendor)
        if not configured(conn_id):
            level: Level = "fail" if wanted else "ok"
            action = f"make it under Admin > Connections, or set {variable}" if wanted else ""
            yield Finding(level, subject, "not configured" + ("" if wanted else ", and not needed"), action)
            continue
        passed, message = probe(conn_id, engine)
        if passed:
            yield Finding("ok", subject, message)
        else:
            yield Finding(
                "fail" if wanted else "warn", subject, message, "check its host and key in Admin > Connections"
            )


def _disk() -> Iterator[Finding]:
    landing = settings().landing
    if "://" in landing:
        yield Finding("ok", "disk", f"landing zone is {landing.split('?')[0]}")
        return
    folder = Path(landing).expanduser()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    message = f"{free / 1024**3:.1f} GiB free for the landing zone"
    if free < _DISK_FAIL:
        yield Finding("fail", "disk", message, "free some: loads stop when it is full")
    elif free < _DISK_WARN:
        yield Finding("warn", "disk", message, "lower CLOSINGBELL_RETAIN_* or move CLOSINGBELL_LANDING")
    else:
        yield Finding("ok", "disk", message)


def _quota(engine: Engine) -> Iterator[Finding]:
    from closingbell.warehouse import db

    rows = list(db.query(engine, "quota_left", vendor=None, key=None).iter_rows(named=True))
    if not rows:
        yield Finding("ok", "quota", "no vendor was asked yet")
    for row in rows:
        subject = f"quota {row['vendor']}"
        parts = []
        level: Level = "ok"
        action = ""
        if row["day_limit"]:
            left = row["day_left"]
            parts.append(f"{left} of {row['day_limit']} requests left until {row['resets_at']:%Y-%m-%d %H:%M} UTC")
            if left == 0:
                level, action = (
                    "fail",
                    "loads are deferred until the vendor's next day; a larger plan goes in the connection",
                )
            elif left < row["day_limit"] * 0.1:
                level, action = "warn", "the rest of today's loads may be deferred"
        if row["symbol_limit"]:
            left = row["symbols_left"]
            parts.append(
                f"{left} of {row['symbol_limit']} different symbols left until {row['symbols_reset_at']:%Y-%m-%d} UTC"
            )
            if left == 0:
                level, action = "fail", "tasks that ask for others fail until then; CLOSINGBELL_TICKERS names fewer"
        if row["wait"] > 60:
            parts.append(f"throttled for {row['wait']:.0f} s more")
            level, action = "warn" if level == "ok" else level, action or "wait; every process keeps to it by itself"
        yield Finding(level, subject, ", ".join(parts) or "no daily budget, not throttled", action)


def _calendar(today: date) -> Iterator[Finding]:
    from closingbell.sessions import calendar

    end = calendar().last_session.date()
    message = f"XNYS sessions are known to {end}"
    action = "install a newer exchange-calendars: put it into requirements.txt and run `make lock`"
    left = end - today
    if left < _CALENDAR_FAIL:
        yield Finding("fail", "calendar", message, action)
    elif left < _CALENDAR_WARN:
        yield Finding("warn", "calendar", message, action)
    else:
        yield Finding("ok", "calendar", message)


def _airflow(state: State | None) -> Iterator[Finding]:
    from closingbell.airflow_api import AirflowError

    if (api := airflow(state)) is None:
        action = (
            "run `make up`, or set CLOSINGBELL_AIRFLOW_URL, CLOSINGBELL_AIRFLOW_USER and CLOSINGBELL_AIRFLOW_PASSWORD"
        )
        yield Finding("warn", "airflow", "not checked, paused DAGs neither: no stack of this checkout is up", action)
        return
    restart = (
        "run `make down`, then `make up`"
        if state is not None and state.processes
        else "start it again, or correct CLOSINGBELL_AIRFLOW_URL, _USER and _PASSWORD"
    )
    try:
        ill = [name for name, status in api.health().items() if status != "healthy"]
        dags = api.dags()
        errors = api.import_errors()
    except AirflowError as error:
        yield Finding("fail", "airflow", str(error).splitlines()[0], restart)
        return
    if ill:
        yield Finding("fail", "airflow", f"not healthy: {', '.join(ill)}", restart)
    else:
        yield Finding("ok", "airflow", f"healthy at {api.base_url}")
    for file, trace in errors.items():
        yield Finding(
            "fail", "DAG file", f"{file}: {trace.strip().splitlines()[-1]}", "mend it; Airflow reads it again"
        )
    if missing := [dag_id for dag_id in MUST_RUN if dag_id not in dags]:
        yield Finding("fail", "DAGs", f"missing: {', '.join(missing)}", "is AIRFLOW__CORE__DAGS_FOLDER the dags/ here?")
    paused = [dag_id for dag_id in MUST_RUN if dag_id in dags and dags[dag_id]["is_paused"]]
    if "scores_and_recommendations" in paused:
        action = "unpause it, then run reconcile: a paused scores_and_recommendations loses the sessions that close"
        yield Finding("fail", "paused DAGs", ", ".join(paused), action)
    elif paused:
        yield Finding("warn", "paused DAGs", ", ".join(paused), f"they do not run on their own: {UNPAUSE}")
    else:
        yield Finding("ok", "paused DAGs", "none")


def _sessions(engine: Engine, now: datetime) -> Iterator[Finding]:
    from closingbell.sessions import close_of, last_sessions, latest_session
    from closingbell.warehouse import db

    latest = latest_session(now)
    latest = min(latest, settings().market_ends_on or latest)
    wanted = last_sessions(latest, _LOOK_BACK)
    ever = db.query(engine, "doctor_scored", first=date.min)["session"].to_list()
    scored = {day for day in ever if day >= wanted[0]}
    if not scored:
        # a new warehouse, or a sandbox whose market stands still, is no outage
        dead = bool(ever) and settings().market_ends_on is None
        last = f"; the last scored session is {max(ever)}" if ever else ""
        action = "backfill market_close over them in Airflow" if ever else "run market_close in Airflow, or `make demo`"
        message = f"none of the last {_LOOK_BACK} has scores{last}"
        yield Finding("fail" if dead else "warn", "sessions", message, action)
        return
    due = timedelta(minutes=settings().scores_due_minutes)
    # what came before the first scored session was never asked for
    late = [day for day in wanted if day not in scored and day > min(scored) and close_of(day) + due < now]
    if late:
        days = ", ".join(day.isoformat() for day in late)
        level: Level = "warn" if settings().market_ends_on else "fail"  # a sandbox's run where asked
        yield Finding(level, "late sessions", f"no scores for {days}", "backfill market_close over them in Airflow")
    else:
        yield Finding("ok", "late sessions", f"none; the last scored session is {max(scored)}")


def _freshness(engine: Engine) -> Iterator[Finding]:
    from closingbell.warehouse import db

    ages = dict(db.query(engine, "published_ago").iter_rows())
    for dag_id, (table, allowed) in FRESH.items():
        seconds = ages.get(table)
        if seconds is None:
            yield Finding("ok", f"fresh {dag_id}", "not loaded so far; its first run fills the tables")
            continue
        message = f"published {seconds / 3600:.0f} hours ago"
        late = seconds > allowed.total_seconds()
        action = f"look at the last runs of {dag_id} in Airflow, and whether it is paused" if late else ""
        yield Finding("warn" if late else "ok", f"fresh {dag_id}", message, action)


def _failures(engine: Engine) -> Iterator[Finding]:
    from closingbell.warehouse import db

    rows = db.query(engine, "doctor_failures")
    if rows.is_empty():
        yield Finding("ok", "fetch failures", "none open")
    for row in rows.iter_rows(named=True):
        where = f"{row['vendor']} {row['endpoint']}"
        message = f"{row['failures']} open at {where} since {row['since']:%Y-%m-%d}, e.g. {row['error']}"
        action = "the next run tries them again; a changed answer fails until its parser follows (ops.fetch_failures)"
        yield Finding("warn", "fetch failures", message, action)


def _stages(engine: Engine) -> Iterator[Finding]:
    from closingbell.warehouse import db

    hours = settings().retain_stages_hours
    rows = db.query(engine, "doctor_stages", hours=hours)
    if rows.is_empty():
        yield Finding("ok", "stages", f"none unpublished for over {hours} h")
        return
    first = rows.row(0, named=True)
    message = f"{rows.height} unpublished for over {hours} h, the oldest {first['table_name']} of {first['run_id']}"
    yield Finding(
        "warn", "stages", message, "clear the failed task in Airflow, or let `closingbell housekeeping` drop them"
    )
