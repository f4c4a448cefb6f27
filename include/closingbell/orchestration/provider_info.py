"""What Airflow reads from this package's entry point `apache_airflow_provider`: our connection types and their forms.

Imported by every Airflow process at start, so it imports nothing. Keys go in the password, which Airflow encrypts
and masks; the fields below go in the extra.
"""

from __future__ import annotations

from typing import Any

_HOOKS = "closingbell.orchestration.airflow_hooks"


def get_provider_info() -> dict[str, Any]:
    """The provider's description, as airflow/provider_info.schema.json defines it."""
    return {
        "package-name": "closing-bell",
        "name": "Closing Bell",
        "description": "Vendors of filings and prices",
        "connection-types": [
            {
                "connection-type": "sec_edgar",
                "hook-class-name": f"{_HOOKS}.SecEdgarHook",
                "hook-name": "SEC EDGAR",
                "conn-fields": {
                    "contact": _text("Contact", "E-mail address for the User-Agent; SEC answers to no other"),
                    **_TIMEOUT,
                },
                "ui-field-behaviour": _form(
                    hidden=["schema", "port", "login", "password"], host="https://www.sec.gov (the default)"
                ),
            },
            {
                "connection-type": "polygon",
                "hook-class-name": f"{_HOOKS}.PolygonHook",
                "hook-name": "Polygon (Massive)",
                "conn-fields": {"plan": _choice("free", "starter", "developer", "advanced"), **_TIMEOUT},
                "ui-field-behaviour": _form(
                    hidden=["schema", "port", "login"],
                    host="https://api.massive.com (the default)",
                    relabel={"password": "API key"},
                ),
            },
            {
                "connection-type": "tiingo",
                "hook-class-name": f"{_HOOKS}.TiingoHook",
                "hook-name": "Tiingo",
                "conn-fields": {"plan": _choice("free", "power"), **_TIMEOUT},
                "ui-field-behaviour": _form(
                    hidden=["schema", "port", "login"],
                    host="https://api.tiingo.com (the default)",
                    relabel={"password": "API token"},
                ),
            },
            {
                "connection-type": "benzinga",
                "hook-class-name": f"{_HOOKS}.BenzingaHook",
                "hook-name": "Benzinga",
                "conn-fields": {"plan": _choice("standard"), **_TIMEOUT},
                "ui-field-behaviour": _form(
                    hidden=["schema", "port", "login"],
                    host="https://api.benzinga.com (the default)",
                    relabel={"password": "API key"},
                ),
            },
            {
                "connection-type": "marketaux",
                "hook-class-name": f"{_HOOKS}.MarketauxHook",
                "hook-name": "Marketaux",
                "conn-fields": {"plan": _choice("free", "basic", "standard", "pro"), **_TIMEOUT},
                "ui-field-behaviour": _form(
                    hidden=["schema", "port", "login"],
                    host="https://api.marketaux.com (the default)",
                    relabel={"password": "API token"},
                ),
            },
            {
                "connection-type": "gemini",
                "hook-class-name": f"{_HOOKS}.GeminiHook",
                "hook-name": "Gemini",
                "conn-fields": {"plan": _choice("free", "tier1"), **_TIMEOUT},
                "ui-field-behaviour": _form(
                    hidden=["schema", "port", "login"],
                    host="https://generativelanguage.googleapis.com (the default)",
                    relabel={"password": "API key"},
                ),
            },
            {
                "connection-type": "web",
                "hook-class-name": f"{_HOOKS}.WebHook",
                "hook-name": "Web pages",
                "conn-fields": {
                    "contact": _text("Contact", "E-mail address for the User-Agent, for who runs the sites"),
                    **_TIMEOUT,
                },
                "ui-field-behaviour": _form(
                    hidden=["schema", "port", "login", "password"],
                    host="not used: the hosts are those of news/sources.toml",
                ),
            },
            {
                "connection-type": "yahoo",
                "hook-class-name": f"{_HOOKS}.YahooHook",
                "hook-name": "Yahoo Finance (yfinance)",
                "conn-fields": {
                    "cache_dir": _text(
                        "Cache folder", "Where yfinance keeps cookies; the setting YAHOO_CACHE if empty"
                    ),
                    **_TIMEOUT,
                },
                "ui-field-behaviour": _form(
                    hidden=["schema", "port", "login", "password"],
                    host="https://query2.finance.yahoo.com (the default)",
                ),
            },
        ],
    }


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


def _choice(first: str, *others: str) -> dict[str, Any]:
    return {
        "label": "Plan",
        "description": "What you subscribed to; requests are paced by it",
        "schema": {"type": ["string", "null"], "enum": [first, *others], "default": first},
    }


def _form(*, hidden: list[str], host: str, relabel: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "hidden-fields": hidden,
        "relabeling": {"host": "Base URL", **(relabel or {})},
        "placeholders": {"host": host},
    }


_TIMEOUT: dict[str, Any] = {
    "timeout_seconds": {
        "label": "Timeout",
        "description": "Seconds of silence after which a request is given up",
        "schema": {"type": ["number", "null"], "minimum": 1},
    }
}
