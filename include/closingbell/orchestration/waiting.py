"""Tasks that wait in Airflow's state `deferred`, without a worker and without using up a try.

Two things are waited for: a vendor's day budget, until it resets, and a partition that another run writes.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk.bases.decorator import task_decorator_factory

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

BUSY = timedelta(minutes=5)
RESET_UNKNOWN = timedelta(hours=1)
JITTER_SECONDS = 120.0


class StepWaits(RuntimeError):
    """A command ended because it has to wait (exit code 75); `until` is when to run it again, aware."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


@contextmanager
def deferring() -> Iterator[None]:
    """Turn what a task can only wait for into a deferral, which ends in the task's `resume`."""
    from closingbell.orchestration.partitions import PartitionBusy
    from closingbell.warehouse.quota import QuotaExhausted

    try:
        yield
    except QuotaExhausted as error:
        _defer(error, error.resets_at)
    except StepWaits as error:
        _defer(error, error.until)
    except PartitionBusy as error:
        _defer(error, datetime.now(UTC) + BUSY)


class Waits:
    """For an operator: `execute` defers where it has to wait, `resume` runs it again. Stands before its base class."""

    def execute(self, context: Context) -> Any:
        """The operator's own execute."""
        with deferring():
            return super().execute(context)  # type: ignore[misc]

    def resume(self, context: Context, event: Any = None) -> Any:
        """What the trigger calls when the time has come."""
        return self.execute(context)


class WaitingPythonOperator(Waits, _PythonDecoratedOperator):
    """A Python function as a task that can wait."""


def waiting_task(**kwargs: Any) -> Callable[[Callable[..., Any]], Any]:
    """`@task` for a function that asks a vendor or writes a partition."""
    return task_decorator_factory(decorated_operator_class=WaitingPythonOperator, **kwargs)


def _defer(error: Exception, until: datetime) -> None:
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    from airflow.sdk.exceptions import TaskDeferred

    # not everybody at once when a vendor's day begins
    moment = max(until, datetime.now(UTC)) + timedelta(seconds=random.uniform(1, JITTER_SECONDS))  # noqa: S311
    log.warning("deferred to %s UTC: %s", f"{moment:%Y-%m-%d %H:%M}", error)
    raise TaskDeferred(trigger=DateTimeTrigger(moment=moment), method_name="resume") from error
