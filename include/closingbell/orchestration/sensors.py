"""Waiting for a vendor to have a session complete, without holding a worker's slot."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from closingbell.orchestration.waiting import Waits

if TYPE_CHECKING:
    from airflow.sdk import Context


class VendorCompleteSensor(Waits, BaseSensorOperator):
    """Asks every five minutes, for ten hours, whether the price vendor has the run's session (the last one of a range);
    the first task of such a run, so it refuses one whose sessions make no sense.
    """

    def __init__(self, **kwargs: Any) -> None:
        defaults: dict[str, Any] = {
            "mode": "reschedule",
            "poke_interval": 300.0,
            "timeout": timedelta(hours=10).total_seconds(),
            "execution_timeout": timedelta(minutes=15),
        }
        super().__init__(**(defaults | kwargs))

    def poke(self, context: Context) -> bool:
        """Whether the vendor's answer for the session is complete."""
        from closingbell.orchestration import partitions
        from closingbell.orchestration.groups import current_run
        from closingbell.pipelines import market_close

        run = current_run(by_session=True)
        if run.params.get("dry_run"):
            return True
        partitions.claim(run, market_close.TABLES)
        complete = market_close.vendor_complete(run)
        self.log.info("Session %s is %s", run.partition_key, "complete" if complete else "not complete yet; asks again")
        return complete
