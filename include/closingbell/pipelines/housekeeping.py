"""What the warehouse keeps: abandoned stages dropped, retention applied."""

from __future__ import annotations

from closingbell.pipelines.base import Run
from closingbell.warehouse import retention


def clean(run: Run, living: retention.Living) -> dict[str, int]:
    """Apply the retention settings; how much of each was dropped, or would be in a dry run. living: see retention."""
    return retention.housekeep(run.engine, run.landing, living=living, dry_run=bool(run.params.get("dry_run")))
