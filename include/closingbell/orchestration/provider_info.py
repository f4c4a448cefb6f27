"""What Airflow reads from this package's entry point `apache_airflow_provider`: our connection types and their forms.

Imported by every Airflow process at start, so it imports nothing. Keys go in the password, which Airflow encrypts
and masks; the fields below go in the extra.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's description, as airflow/provider_info.schema.json defines it."""
    return {
        "package-name": "closing-bell",
        "name": "Closing Bell",
        "description": "Vendors of filings, prices, ratings and news",
        "connection-types": [
            _vendor(
                "sec_edgar", "SecEdgarHook", "SEC EDGAR", "https://www.sec.gov (the default)",
                contact=_text("Contact", "E-mail address for the User-Agent; SEC answers to no other"),
            ),
            _vendor(
                "polygon", "PolygonHook", "Polygon (Massive)", "https://api.massive.com (the default)", key="API key",
                plan=_choice("free", "starter", "developer", "advanced"),
            ),
            _vendor(
                "tiingo", "TiingoHook", "Tiingo", "https://api.tiingo.com (the default)", key="API token",
                plan=_choice("free", "power"),
            ),
            _vendor(
                "benzinga", "BenzingaHook", "Benzinga", "https://api.benzinga.com (the default)", key="API key",
                plan=_choice("standard"),
            ),
            _vendor(
                "marketaux", "MarketauxHook", "Marketaux", "https://api.marketaux.com (the default)", key="API token",
                plan=_choice("free", "basic", "standard", "pro"),
            ),
            _vendor(
                "gemini", "GeminiHook", "Gemini", "https://generativelanguage.googleapis.com (the default)",
                key="API key", plan=_choice("free", "tier1"), model=_text("Model", "gemini-2.5-flash if empty"),
            ),
            _vendor(
                "web", "WebHook", "Web pages", "not used: the hosts are those of news/sources.toml",
                contact=_text("Contact", "E-mail address for the User-Agent, for who runs the sites"),
            ),
            _vendor(
                "yahoo", "YahooHook", "Yahoo Finance (yfinance)", "https://query2.finance.yahoo.com (the default)",
                cache_dir=_text("Cache folder", "Where yfinance keeps cookies; the setting YAHOO_CACHE if empty"),
            ),
        ],
    }  # fmt: skip


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


def _choice(first: str, *others: str) -> dict[str, Any]:
    return {
        "label": "Plan",
        "description": "What you subscribed to; requests are paced by it",
        "schema": {"type": ["string", "null"], "enum": [first, *others], "default": first},
    }


def _vendor(vendor: str, hook: str, name: str, host: str, *, key: str = "", **fields: dict[str, Any]) -> dict[str, Any]:
    """A connection type; `key` is what its vendor calls the password, where it has one."""
    return {
        "connection-type": vendor,
        "hook-class-name": f"closingbell.orchestration.airflow_hooks.{hook}",
        "hook-name": name,
        "conn-fields": fields | _TIMEOUT,
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "port", "login", *([] if key else ["password"])],
            "relabeling": {"host": "Base URL"} | ({"password": key} if key else {}),
            "placeholders": {"host": host},
        },
    }


_TIMEOUT: dict[str, Any] = {
    "timeout_seconds": {
        "label": "Timeout",
        "description": "Seconds of silence after which a request is given up",
        "schema": {"type": ["number", "null"], "minimum": 1},
    }
}
