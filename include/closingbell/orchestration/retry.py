"""What a task does after a vendor's refusal: wait as the vendor asked, wait for everybody, give up, or defer.

The hooks have tried three times within a minute by then (`hooks.http.Client.tried`); this decides over the task's
own retries. A task that uses it sets `retries=2`, which makes three tries.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryPolicy
from airflow.sdk.definitions.retry_policy import RetryDecision

if TYPE_CHECKING:
    from airflow.sdk import Context

FIRST_DELAY = timedelta(minutes=1)
BUSY_DELAY = timedelta(minutes=5)
LONGEST_DELAY = timedelta(hours=1)
RESET_UNKNOWN = timedelta(hours=24)


class VendorRetryPolicy(RetryPolicy):
    """429, 5xx, timeouts and cut answers: again, after Retry-After or one, two, four minutes. SEC's throttle page:
    again after ten minutes. 401, 402 and other 403, missing keys, unknown shapes: failed at once, with the reason.
    A spent budget: deferred to its reset. A partition that another run writes: again after five, then thirty
    minutes. Anything else: the task's own retries.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """The decision for one failure; `try_number` counts from 1."""
        from closingbell.connections import ConnectionMissing
        from closingbell.hooks.errors import (
            AuthFailed,
            BadAnswer,
            NotFound,
            NotYet,
            RateLimited,
            ServerError,
            ThrottlePage,
            VendorError,
        )
        from closingbell.orchestration.partitions import PartitionBusy
        from closingbell.warehouse.quota import QuotaExhausted

        match exception:
            case QuotaExhausted():
                return RetryDecision.retry(_until_reset(exception), f"deferred: {exception}")
            case ThrottlePage() | NotYet():
                return RetryDecision.retry(timedelta(seconds=exception.retry_after or 600), f"waits: {exception}")
            case AuthFailed() | NotFound() | BadAnswer():
                return RetryDecision.fail(str(exception))
            case RateLimited() | ServerError():
                return RetryDecision.retry(_delay(exception.retry_after, try_number), str(exception))
            case PartitionBusy():
                return RetryDecision.retry(BUSY_DELAY * 6 ** max(0, try_number - 1), str(exception))
            case ConnectionMissing():
                return RetryDecision.fail(str(exception))
            case VendorError():
                return RetryDecision.retry(_delay(exception.retry_after, try_number), str(exception))
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """It has no settings of its own."""
        return {"__type": "VendorRetryPolicy"}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> VendorRetryPolicy:
        """The policy again."""
        return cls()


def _delay(retry_after: float | None, try_number: int) -> timedelta:
    exponential = FIRST_DELAY * 2 ** max(0, try_number - 1)
    asked = timedelta(seconds=retry_after or 0)
    return min(max(exponential, asked), max(LONGEST_DELAY, asked))


def _until_reset(exception: BaseException) -> timedelta:
    resets_at = getattr(exception, "resets_at", None)
    if not isinstance(resets_at, datetime):
        return RESET_UNKNOWN
    # not everybody at once when the vendor's day begins
    return max(FIRST_DELAY, resets_at - datetime.now(UTC)) + timedelta(seconds=random.uniform(0, 120))  # noqa: S311
