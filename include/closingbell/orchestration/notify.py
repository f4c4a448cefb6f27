"""Who hears of a failed or late run: the notifier named by CLOSINGBELL_NOTIFIER, and always the log.

The setting is the import path of an Airflow notifier class that needs no argument, of a notifier made elsewhere, or of
a function that takes the context: for example `my_company.alerts.closing_bell_slack`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from closingbell.settings import settings

log = logging.getLogger(__name__)


def run_failed(context: Mapping[str, Any]) -> None:
    """A DAG's `on_failure_callback`: which run failed, of which session, and where to read what to do."""
    run = context.get("dag_run")
    log.error(
        "Run %s of %s failed (session %s): the DAG's Docs say what to do, the run's page 'Loads' what it wrote",
        getattr(run, "run_id", context.get("run_id")),
        getattr(run, "dag_id", None),
        _sessions(getattr(run, "partition_key", None), getattr(run, "conf", None)),
    )
    tell(context)


async def session_late(context: Mapping[str, Any] | None = None, **_: Any) -> None:
    """A deadline's callback: a session has no scores in time. Runs in the triggerer."""
    run = (context or {}).get("dag_run") or {}
    log.error(
        "Run %s of %s (session %s) is late: see 'Why is today's board late' in the navigation",
        run.get("dag_run_id"),
        run.get("dag_id"),
        _sessions(run.get("partition_key"), run.get("conf")),
    )
    await asyncio.to_thread(tell, dict(context or {}))


def no_scores(context: Mapping[str, Any], sessions: Sequence[str]) -> None:
    """Sessions have no scores though they were due: the context of the task that saw it, with `late_sessions`."""
    log.error("No scores in time for %s: see 'Why is today's board late' in the navigation", ", ".join(sessions))
    tell({**context, "late_sessions": list(sessions)})


def tell(context: Mapping[str, Any]) -> None:
    """Call the configured notifier; one that fails is logged, and hides nothing."""
    if not (path := settings().notifier):
        return
    try:
        notifier(path)(context)
    except Exception:
        log.exception("The notifier %s failed; correct CLOSINGBELL_NOTIFIER", path)


def notifier(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """What the import path names: classes are made without arguments."""
    from airflow.sdk.module_loading import import_string

    found: Any = import_string(path)
    made: Any = found() if inspect.isclass(found) else found
    return made


def _sessions(partition_key: str | None, conf: Mapping[str, Any] | None) -> str:
    """What the run was asked for: its key, or the form's session or range."""
    asked = [(conf or {}).get(name) for name in ("session", "last_session")]
    return partition_key or " to ".join(filter(None, asked)) or "none named"
