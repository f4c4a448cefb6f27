"""Where a vendor is and with what key: connection id -> Endpoint, resolved through Airflow.

Inside a task Airflow's own connection store answers; outside (command, pod) AIRFLOW_CONN_<ID> does. Hosts may be
written whole (`http://127.0.0.1:9000/polygon`) or as Airflow's scheme, host and port. Keys stand in the password.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

DEFAULT_URLS: Mapping[str, str] = MappingProxyType(
    {
        "sec_edgar": "https://www.sec.gov",
        "polygon": "https://api.massive.com",  # Polygon.io's name since 2025; api.polygon.io still answers
        "tiingo": "https://api.tiingo.com",
        "yahoo": "https://query2.finance.yahoo.com",
        "reference": "https://raw.githubusercontent.com/datasets/s-and-p-500-companies/main/data",
        "marketaux": "https://api.marketaux.com",
        "gemini": "https://generativelanguage.googleapis.com",
        "web": "https://www.globenewswire.com",  # the hosts are those of news/sources.toml
        "benzinga": "https://api.benzinga.com",
    }
)
"""The vendors' own hosts, where a connection names none. The key is the connection id's own default."""

KEYED = frozenset({"gemini", "marketaux", "polygon", "tiingo", "benzinga"})
"""Connections that are of no use without a key."""


SANDBOX_KEY = "not-a-secret-key"  # Airflow masks a password wherever it stands in a log, so it must be no common word


class ConnectionMissing(LookupError):
    """No such connection, or one without what its vendor needs; says how to make it."""


@dataclass(frozen=True)
class Endpoint:
    """A resolved connection. `base_url` has no trailing slash and no credentials; secrets stay out of repr."""

    conn_id: str
    base_url: str
    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"connection {self.conn_id}: the host must be http:// or https:// and a name")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                f"connection {self.conn_id}: no credentials, query or fragment in the host; a key goes in the password"
            )
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))

    @property
    def host(self) -> str:
        """Host name, lower case, without port."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether the vendor is played on this machine (the sandbox)."""
        return self.host in ("localhost", "127.0.0.1", "::1")


def resolve(conn_id: str) -> Endpoint:
    """The connection as an Endpoint; raises ConnectionMissing with what to do."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException

    try:
        conn = BaseHook.get_connection(conn_id)
    except AirflowException as error:
        raise ConnectionMissing(
            f"no connection {conn_id!r}: make it under Admin > Connections, "
            f"or set AIRFLOW_CONN_{conn_id.upper()} ({error})"
        ) from None
    base_url = _base_url(conn.host, conn.schema, conn.port) or DEFAULT_URLS.get(conn.conn_type or "")
    base_url = base_url or DEFAULT_URLS.get(conn_id)
    if not base_url:
        raise ConnectionMissing(f"connection {conn_id!r} names no host; write one, https://... included")
    return Endpoint(conn_id, base_url, conn.login or "", conn.password or "", conn.extra_dejson)


def configured(conn_id: str) -> bool:
    """Whether the connection exists and, where its vendor asks for a key, holds one."""
    try:
        endpoint = resolve(conn_id)
    except ConnectionMissing:
        return False
    return bool(endpoint.password) or conn_id not in KEYED


def environment(base_url: str, *, contact: str = "operator@closing-bell.test") -> dict[str, str]:
    """AIRFLOW_CONN_<ID> for a sandbox at `base_url`: the same connection ids as production, other hosts.

    Its keys are no secrets, so any is taken; plans are the large ones, since the market stands on this machine, and
    SEC's throttle page passes in seconds there, not in ten minutes.
    """
    root = base_url.rstrip("/")
    connections: dict[str, dict[str, Any]] = {
        "sec_edgar": {"conn_type": "sec_edgar", "host": root, "extra": {"contact": contact, "throttle_seconds": 15}},
        "polygon": {
            "conn_type": "polygon",
            "host": f"{root}/polygon",
            "password": SANDBOX_KEY,
            "extra": {"plan": "advanced"},
        },
        "tiingo": {
            "conn_type": "tiingo",
            "host": f"{root}/tiingo",
            "password": SANDBOX_KEY,
            "extra": {"plan": "sandbox"},
        },
        "yahoo": {"conn_type": "yahoo", "host": f"{root}/yahoo", "extra": {"plan": "sandbox"}},
        "reference": {"conn_type": "http", "host": f"{root}/reference"},
        **{
            vendor: {
                "conn_type": vendor,
                "host": f"{root}/{vendor}",
                "password": SANDBOX_KEY,
                "extra": {"plan": "sandbox"},
            }
            for vendor in ("marketaux", "gemini")
        },
        "web": {"conn_type": "web", "host": f"{root}/web", "extra": {"plan": "sandbox"}},
        "benzinga": {
            "conn_type": "benzinga",
            "host": f"{root}/benzinga",
            "password": SANDBOX_KEY,
            "extra": {"plan": "sandbox"},
        },
    }
    return {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(conn) for conn_id, conn in connections.items()}


def _base_url(host: str | None, schema: str | None, port: int | None) -> str:
    if not host:
        return ""
    url = host if "://" in host else f"{schema or 'https'}://{host}"
    parts = urlsplit(url)
    if port and not parts.port:
        url = parts._replace(netloc=f"{parts.netloc}:{port}").geturl()
    return url
