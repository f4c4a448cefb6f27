"""What every DAG shares: owner, retries, tags, and the deadline of a session's scores."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert

from closingbell.orchestration.deadlines import SessionClose
from closingbell.orchestration.retry import VendorRetryPolicy
from closingbell.settings import settings

OWNER = "closing-bell"

DEFAULT_ARGS: dict[str, Any] = {
    "owner": OWNER,
    "retries": 2,  # three tries; what each kind of failure waits for is the policy's
    "retry_delay": timedelta(seconds=30),
    "retry_policy": VendorRetryPolicy(),
    "execution_timeout": timedelta(hours=1),
}


class Tag(Enum):
    """The tags a DAG may carry; a test refuses others."""

    REFERENCE = "reference"
    FUNDAMENTALS = "fundamentals"
    PRICES = "prices"
    RATINGS = "ratings"
    INSIDERS = "insiders"
    INSTITUTIONS = "institutions"
    NEWS = "news"
    SCORES = "scores"
    SESSION = "session"
    OPERATIONS = "operations"


def scores_deadline() -> list[DeadlineAlert]:
    """Tells the operators when a session's run is not finished by the time its scores are due."""
    return [
        DeadlineAlert(
            reference=SessionClose(),
            interval=timedelta(minutes=settings().scores_due_minutes),
            callback=AsyncCallback("closingbell.orchestration.notify.session_late"),
            name="scores_due",
        )
    ]
