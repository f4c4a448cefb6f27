"""What a task does after a vendor's refusal: wait as the vendor asked, wait for everybody, or give up.

The hooks have tried three times within a minute by then (`hooks.http.Client.tried`); this decides over the task's
own retries. A task that uses it sets `retries=2`, which makes three tries.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryPolicy
from airflow.sdk.definitions.retry_policy import RetryDecision

if TYPE_CHECKING:
    from airflow.sdk import Context

FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=1)


class VendorRetryPolicy(RetryPolicy):
    """429, 5xx, timeouts and cut answers: again, after Retry-After or one, two, four minutes. SEC's throttle page:
    again after ten minutes. 401, 402 and other 403, missing keys, unknown shapes: failed at once, with the reason.
    Anything else: the task's own retries. A spent budget and a busy partition come here never: waiting.py defers.
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

        match exception:
            case ThrottlePage() | NotYet():
                return RetryDecision.retry(timedelta(seconds=exception.retry_after or 600), f"waits: {exception}")
            case AuthFailed() | NotFound() | BadAnswer():
                return RetryDecision.fail(str(exception))
            case RateLimited() | ServerError():
                return RetryDecision.retry(_delay(exception.retry_after, try_number), str(exception))
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
