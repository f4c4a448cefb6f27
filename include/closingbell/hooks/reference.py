"""Index membership that somebody keeps in public: S&P 500 constituents with GICS sector and CIK, as one CSV."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep as _sleep

from closingbell.connections import Endpoint
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import VendorError
from closingbell.hooks.http import Client, Tokens


class Reference:
    """Files below the host of the connection `reference`; `sp500_path` in its extra names another file."""

    vendor = "reference"

    def __init__(
        self, endpoint: Endpoint, quota: Tokens | None = None, *, sleep: Callable[[float], None] = _sleep
    ) -> None:
        self.base_url = endpoint.base_url
        self.path = "/" + str(endpoint.extra.get("sp500_path", "constituents.csv")).lstrip("/")
        self.client = Client(self.vendor, endpoint, quota, sleep=sleep)

    def sp500(self) -> Answer:
        """Columns Symbol, Security, GICS Sector, GICS Sub-Industry, Headquarters Location, Date added, CIK, Founded."""
        return self.client.get(self.base_url + self.path, endpoint="sp500", key="all", promise="text")

    def test(self) -> tuple[bool, str]:
        """Whether the file is there."""
        try:
            answer = self.sp500()
        except VendorError as error:
            return False, str(error)
        return True, f"{len(answer.body):,} bytes of constituents"  # type: ignore[arg-type]

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()
