"""What Airflow's connection form instantiates: one class a connection type, whose Test button asks the vendor.

Pipelines use `closingbell.hooks` itself; these only make a connection visible and testable in Airflow.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.sdk import BaseHook


class VendorHook(BaseHook):
    """A vendor's connection. `get_conn()` is the vendor's client, without quota; close it."""

    vendor: ClassVar[str]
    hook_name: ClassVar[str]
    conn_name_attr = "conn_id"

    def __init__(self, conn_id: str | None = None) -> None:
        super().__init__()
        self.conn_id = conn_id or self.vendor

    def get_conn(self) -> Any:
        """The vendor's client; raises ConnectionMissing where key or contact is missing."""
        from closingbell.connections import resolve
        from closingbell.hooks import hook_class

        return hook_class(self.vendor)(resolve(self.conn_id), None)

    def test_connection(self) -> tuple[bool, str]:
        """One cheap request: (whether the vendor took it, what to tell the operator). Never raises, holds no secret."""
        from closingbell.connections import ConnectionMissing

        try:
            client = self.get_conn()
        except (ConnectionMissing, ValueError) as error:
            return False, str(error)
        try:
            return client.test()
        finally:
            client.close()


class SecEdgarHook(VendorHook):
    """www.sec.gov and data.sec.gov."""

    vendor = conn_type = default_conn_name = "sec_edgar"
    hook_name = "SEC EDGAR"


class PolygonHook(VendorHook):
    """api.massive.com, once api.polygon.io."""

    vendor = conn_type = default_conn_name = "polygon"
    hook_name = "Polygon (Massive)"


class TiingoHook(VendorHook):
    """api.tiingo.com."""

    vendor = conn_type = default_conn_name = "tiingo"
    hook_name = "Tiingo"


class BenzingaHook(VendorHook):
    """api.benzinga.com."""

    vendor = conn_type = default_conn_name = "benzinga"
    hook_name = "Benzinga"


class MarketauxHook(VendorHook):
    """api.marketaux.com."""

    vendor = conn_type = default_conn_name = "marketaux"
    hook_name = "Marketaux"


class GeminiHook(VendorHook):
    """generativelanguage.googleapis.com."""

    vendor = conn_type = default_conn_name = "gemini"
    hook_name = "Gemini"


class WebHook(VendorHook):
    """The pages of news/sources.toml."""

    vendor = conn_type = default_conn_name = "web"
    hook_name = "Web pages"


class YahooHook(VendorHook):
    """query2.finance.yahoo.com, by yfinance."""

    vendor = conn_type = default_conn_name = "yahoo"
    hook_name = "Yahoo Finance (yfinance)"
