"""What the warehouse keeps: abandoned stages dropped, retention applied."""

from __future__ import annotations

import logging

from closingbell.pipelines.base import Run
from closingbell.warehouse import retention

log = logging.getLogger(__name__)


def clean(run: Run, living: retention.Living) -> dict[str, int]:
    """Apply the retention settings; how much of each was dropped, nothing in a dry run. living: see retention."""
    if run.params.get("dry_run"):
        log.info("Dry run: nothing is dropped")
        return {}
    return retention.housekeep(run.engine, run.landing, living=living)
