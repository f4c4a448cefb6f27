"""airflow_settings.yaml, the Astro CLI's form: connections, pools and variables of the deployment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from closingbell.settings import REPOSITORY
from closingbell.stack.record import StackError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SETTINGS_FILE = REPOSITORY / "airflow_settings.yaml"


def settings_file() -> dict[str, Any]:
    """airflow_settings.yaml (the Astro CLI's form) with empty lists where a section is missing."""
    import yaml

    try:
        content = (yaml.safe_load(SETTINGS_FILE.read_text()) or {}).get("airflow") or {}
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise StackError(f"{SETTINGS_FILE.name} cannot be read: {error}") from None
    return {section: content.get(section) or [] for section in ("connections", "pools", "variables")}


def load_settings_into(session: Session) -> list[str]:
    """Connections, pools and variables of airflow_settings.yaml into Airflow's database; names of the new ones.

    For a deployment without `make up`. What exists there already is kept.
    """
    from airflow.models.connection import Connection
    from airflow.models.pool import Pool
    from airflow.models.variable import Variable
    from sqlalchemy import select

    content = settings_file()
    new: dict[str, Any] = {}
    known = set(session.scalars(select(Connection.conn_id)))
    for entry in content["connections"]:
        if (conn_id := entry["conn_id"]) not in known:
            fields = settings_connection(entry)
            if "extra" in fields:
                fields["extra"] = json.dumps(fields["extra"])
            new[f"connection {conn_id}"] = Connection(conn_id=conn_id, **fields)
    known = set(session.scalars(select(Pool.pool)))
    for pool in settings_pools(content):
        if pool["name"] not in known:
            new[f"pool {pool['name']}"] = Pool(
                pool=pool["name"], slots=pool["slots"], description=pool["description"], include_deferred=False
            )
    known = set(session.scalars(select(Variable.key)))
    for variable in settings_variables(content):
        if variable["key"] not in known:
            new[f"variable {variable['key']}"] = Variable(key=variable["key"], val=variable["value"])
    session.add_all(new.values())
    return list(new)


def settings_pools(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pools of airflow_settings.yaml in the form of Airflow's API."""
    return [
        {"name": p["pool_name"], "slots": int(p["pool_slot"]), "description": p.get("pool_description") or ""}
        for p in content["pools"]
        if p.get("pool_name")
    ]


def settings_variables(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Variables of airflow_settings.yaml in the form of Airflow's API."""
    return [
        {"key": v["variable_name"], "value": v["variable_value"]}
        for v in content["variables"]
        if v.get("variable_name")
    ]


def settings_connection(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One connection of airflow_settings.yaml in the form of AIRFLOW_CONN_<ID>; empty fields left out."""
    fields = ("conn_type", "host", "schema", "login", "password", "port", "extra")
    values = {name: entry.get(name if name == "conn_type" else f"conn_{name}") for name in fields}
    return {name: value for name, value in values.items() if value not in (None, "", {})}
