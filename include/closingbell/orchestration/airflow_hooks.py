"""What Airflow's connection form instantiates: one class a connection type, whose Test button asks the vendor.

Pipelines use `closingbell.hooks` itself; these only make a connection visible and testable in Airflow.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.sdk import BaseHook


class VendorHook(BaseHook):
    """A vendor's connection. `get_conn()` is the vendor's client, with the quota that all processes share; close it."""

    vendor: ClassVar[str]
    hook_name: ClassVar[str]
    conn_name_attr = "conn_id"

    def __init__(self, conn_id: str | None = None) -> None:
        super().__init__()
        self.conn_id = conn_id or self.vendor

    def get_conn(self) -> Any:
        """The vendor's client; raises ConnectionMissing where key or contact is missing, NoWarehouse without quotas."""
        from closingbell.hooks import open_hook
        from closingbell.warehouse import db

        return open_hook(self.conn_id, db.engine(), vendor=self.vendor)

    def test_connection(self) -> tuple[bool, str]:
        """One cheap request: (whether the vendor took it, what to tell the operator). Never raises, holds no secret."""
        from sqlalchemy.exc import SQLAlchemyError

        from closingbell.hooks import probe
        from closingbell.warehouse import db

        try:
            return probe(self.conn_id, db.engine(), vendor=self.vendor)
        except (SQLAlchemyError, db.NoWarehouse) as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            return False, f"{self.vendor} was not asked, for its quota is kept in the warehouse: {reason}"


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
