"""What the operator gave in the environment or in `.env`: vendors' keys, and where bars come from."""

from __future__ import annotations

import os

from closingbell.settings import REPOSITORY

# vendor keys of .env -> the connection that holds them; the first that is set counts
KEYS: dict[str, tuple[str, ...]] = {
    "polygon": ("POLYGON_API_KEY",),
    "tiingo": ("TIINGO_API_KEY", "TIINGO_TOKEN"),
    "marketaux": ("MARKETAUX_API_KEY",),
    "gemini": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "benzinga": ("BENZINGA_API_KEY",),
    "alpha_vantage": ("ALPHA_VANTAGE_API_KEY",),
}
TICKERS_WITHOUT_A_KEY = ("AAPL", "MSFT", "NVDA", "GOOGL", "AMZN", "JPM", "XOM", "WMT", "COST", "DIS")
"""What a live stack works on where nobody gave a key or a list; README.md names them."""


def dotenv() -> dict[str, str]:
    """The environment over `.env`."""
    from dotenv import dotenv_values

    file = {name: value for name, value in dotenv_values(REPOSITORY / ".env").items() if value}
    return file | {name: value for name, value in os.environ.items() if value}


def vendor_keys() -> dict[str, str]:
    """{connection id: key} for every vendor whose key is given."""
    given = dotenv()
    found = {conn_id: next((given[name] for name in names if name in given), "") for conn_id, names in KEYS.items()}
    return {conn_id: key for conn_id, key in found.items() if key}


def own_connection(conn_id: str) -> str:
    """AIRFLOW_CONN_<ID> of the operator's environment, which counts before `.env` and airflow_settings.yaml."""
    return os.environ.get(f"AIRFLOW_CONN_{conn_id.upper()}", "")


def price_vendor() -> str:
    """Where live bars come from: the setting where given, else the best vendor with a key, else Yahoo."""
    found = vendor_keys()
    chosen = dotenv().get("CLOSINGBELL_PRICE_VENDOR")
    return chosen or next((v for v in ("polygon", "tiingo") if v in found or own_connection(v)), "yahoo")
