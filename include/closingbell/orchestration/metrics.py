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

COUNTS = ("in", "inserted", "updated", "unchanged", "quarantined")  # of Publication.counts()


def published(run: Run, load_name: str, tables: Any, *, since: datetime | None) -> None:
    """Report one finished load: `closing_bell.<load>.<table>.rows_*`, its seconds, and its partition's age in seconds.

    tables: {table: counts}, as `base.publish` returns. A metric that cannot be sent never fails the load.
    """
    from airflow.sdk.observability import stats

    now = datetime.now(UTC)
    try:
        stats.incr(f"closing_bell.{load_name}.success")
        if since is not None:
            stats.timing(f"closing_bell.{load_name}.duration", now - since)
        if (age := freshness(run.partition_key, now)) is not None:
            stats.gauge(f"closing_bell.{load_name}.freshness_seconds", age)
        for table, counts in tables.items() if isinstance(tables, Mapping) else ():
            for name in COUNTS:
                if name in counts:
                    stats.gauge(f"closing_bell.{load_name}.{table}.rows_{name}", counts[name])
    except Exception:
        log.warning("Metrics of %s were not sent", load_name, exc_info=True)


def freshness(partition_key: str, now: datetime) -> float | None:
    """Seconds from the session's close to `now`; None where the partition is no session."""
    from closingbell import sessions

    try:
        return (now - sessions.close_of(date.fromisoformat(partition_key))).total_seconds()
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
