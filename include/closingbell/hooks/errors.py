"""What can go wrong between us and a vendor. Each error names vendor, endpoint and key, and never holds a secret.

`concerns_all`: asking for another key would end the same way, so the whole step stops. `retry_after`: seconds the
vendor asked us to wait, where it did.
"""

from __future__ import annotations

from typing import Any, ClassVar


class VendorError(Exception):
    """A vendor's answer that cannot be used; `status` is the HTTP status where one came."""

    concerns_all: ClassVar[bool] = False

    def __init__(
        self,
        vendor: str,
        endpoint: str,
        key: str,
        status: int | None,
        message: str,
        *,
        retry_after: float | None = None,
    ) -> None:
        self.vendor = vendor
        self.endpoint = endpoint
        self.key = key
        self.status = status
        self.message = message
        self.retry_after = retry_after
        super().__init__(vendor, endpoint, key, status, message)

    def __str__(self) -> str:
        status = f" (HTTP {self.status})" if self.status else ""
        return f"{self.vendor} {self.endpoint} {self.key}{status}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Picklable with `retry_after`: errors cross process borders in Airflow."""
        return _rebuild, (type(self), self.vendor, self.endpoint, self.key, self.status, self.message, self.retry_after)


def _rebuild(
    cls: type[VendorError],
    vendor: str,
    endpoint: str,
    key: str,
    status: int | None,
    message: str,
    retry_after: float | None,
) -> VendorError:
    return cls(vendor, endpoint, key, status, message, retry_after=retry_after)


class RateLimited(VendorError):
    """429: too many requests for this key; ask again after `retry_after` seconds."""

    concerns_all = True


class ThrottlePage(VendorError):
    """SEC's 403 page "Request Rate Threshold Exceeded": every machine of ours waits ten minutes."""

    concerns_all = True


class ServerError(VendorError):
    """5xx, a timeout, a broken connection, or an answer that was cut short: worth asking again."""


class NotYet(VendorError):
    """The vendor does not serve this session yet (asked before its end of day): ask again later."""

    concerns_all = True


class AuthFailed(VendorError):
    """401, 402 or 403: the key is missing, wrong, spent, or its plan lacks this; asking again does not help."""

    concerns_all = True


class NotFound(VendorError):
    """404: the vendor does not know this key. No evidence that a company was delisted."""


class BadAnswer(VendorError):
    """An answer of another kind than was promised: a redirect, a page, a note in place of data, or far too much."""


class NoBars(BadAnswer):
    """The vendor answers without a bar for a session that is long over: none will come."""
