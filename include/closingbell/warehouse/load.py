"""The load path's one entrance: open a stage, stage its batches, audit, publish. See stage, audits.runner, publish."""

from closingbell.audits.runner import Audit, AuditFailed, audit
from closingbell.warehouse.publish import Publication, publish
from closingbell.warehouse.stage import (
    FrameRefused,
    StageError,
    StageLost,
    batch_done,
    batch_landed,
    open_stage,
    planned,
    stage_batch,
    stage_id,
)

__all__ = [
    "Audit",
    "AuditFailed",
    "FrameRefused",
    "Publication",
    "StageError",
    "StageLost",
    "audit",
    "batch_done",
    "batch_landed",
    "open_stage",
    "planned",
    "publish",
    "stage_batch",
    "stage_id",
]
