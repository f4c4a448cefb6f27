"""Success, duration, rows and freshness of every load, through Airflow's own metrics (StatsD or OpenTelemetry).

`environment()` turns the settings `metrics`, `metrics_endpoint` and `json_logs` into Airflow's, for whoever starts it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from closingbell.settings import Settings

if TYPE_CHECKING:
    from closingbell.pipelines.base import Run

log = logging.getLogger(__name__)

NEWEST = {
    "sec_financials": "newest_filing",
    "universe": "newest_company",
    "insider_trades": "newest_insider_trade",
}
"""Loads whose partition is no session, and the query of the moment their data reaches to."""

COUNTS = ("in", "inserted", "updated", "unchanged", "quarantined")  # of Publication.counts()


def published(run: Run, load_name: str, tables: Any, *, since: datetime | None) -> None:
    """Report one finished load: `closing_bell.<load>.<table>.rows_*`, its seconds, and its freshness in seconds.

    tables: {table: counts}, as `base.publish` returns. A metric that cannot be sent never fails the load.
    """
    from airflow.sdk.observability import stats

    now = datetime.now(UTC)
    try:
        stats.incr(f"closing_bell.{load_name}.success")
        if since is not None:
            stats.timing(f"closing_bell.{load_name}.duration", now - since)
        if (age := freshness(run, load_name, now)) is not None:
            stats.gauge(f"closing_bell.{load_name}.freshness_seconds", age)
        for table, counts in tables.items() if isinstance(tables, Mapping) else ():
            for name in COUNTS:
                if name in counts:
                    stats.gauge(f"closing_bell.{load_name}.{table}.rows_{name}", counts[name])
    except Exception:
        log.warning("Metrics of %s were not sent", load_name, exc_info=True)


def ages(run: Run) -> None:
    """Report `closing_bell.<table>.published_seconds_ago` of every table; once a day, whatever ran or did not."""
    from airflow.sdk.observability import stats

    from closingbell.warehouse import db

    try:
        for dataset, seconds in db.query(run.engine, "published_ago").iter_rows():
            stats.gauge(f"closing_bell.{dataset}.published_seconds_ago", seconds)
    except Exception:
        log.warning("The tables' ages were not sent", exc_info=True)


def of_ledger(run: Run, load_name: str) -> dict[str, dict[str, int]]:
    """{table: counts} of what this run published, for a load that ran in a pod."""
    from closingbell.pipelines import LOADS
    from closingbell.warehouse import db

    rows = db.query(run.engine, "page_run_loads", dag_id=run.dag_id, run_id=run.run_id)
    return {
        row["table_name"]: {name: row[f"rows_{name}"] for name in COUNTS}
        for row in rows.iter_rows(named=True)
        if row["table_name"] in LOADS[load_name].tables and row["rows_in"] is not None
    }


def freshness(run: Run, load_name: str, now: datetime) -> float | None:
    """Seconds since the close of the run's last session; of a load without one, since what `NEWEST` asks for.

    None where there is neither.
    """
    from closingbell import sessions
    from closingbell.warehouse import db

    if load_name in NEWEST:
        newest = db.query(run.engine, NEWEST[load_name])["newest"][0]
        return (now - newest).total_seconds() if newest else None
    session = (run.params.get("sessions") or [run.partition_key])[-1]
    try:
        return (now - sessions.close_of(date.fromisoformat(session))).total_seconds()
    except ValueError:
        return None


def environment(settings: Settings) -> dict[str, str]:
    """Airflow's variables for the logs and metrics that the settings ask for; ValueError for an endpoint missing."""
    variables = {"AIRFLOW__LOGGING__JSON_LOGS": "True"} if settings.json_logs else {}
    if settings.metrics == "none":
        return variables
    endpoint = settings.metrics_endpoint
    parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
    if not parts.hostname:
        raise ValueError(
            f"CLOSINGBELL_METRICS={settings.metrics} needs CLOSINGBELL_METRICS_ENDPOINT (host:port or URL)"
        )
    if settings.metrics == "statsd":
        return variables | {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": parts.hostname,
            "AIRFLOW__METRICS__STATSD_PORT": str(parts.port or 8125),
        }
    return variables | {
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "AIRFLOW__METRICS__OTEL_HOST": parts.hostname,
        "AIRFLOW__METRICS__OTEL_PORT": str(parts.port or 4318),
        "AIRFLOW__METRICS__OTEL_SSL_ACTIVE": str(parts.scheme == "https"),
    }
