"""The stack: what it is called, what it refuses, what it tells its processes, and that it ends only its own."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from closingbell import stack


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack folder of this test, and an environment without keys."""
    monkeypatch.setattr(stack, "ROOT", tmp_path / "stack")
    monkeypatch.setattr(stack, "dotenv", lambda: {})
    return tmp_path / "stack"


def state(spec: stack.Spec | None = None) -> stack.State:
    return stack.State(
        spec=spec or stack.Spec(),
        id="0123456789abcdef",
        server="",
        sandbox_url="http://127.0.0.1:4321",
        last_session="2025-12-05",
        password="word",
    )


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the embedded server ran."""
    monkeypatch.setattr(
        stack, "_server_url", lambda _: "postgresql+psycopg2://postgres@localhost/postgres?host=/run/pg"
    )


def test_each_mode_seed_and_size_has_a_database_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a/prices").mkdir(parents=True)
    (tmp_path / "b/prices").mkdir(parents=True)
    names = [
        stack.spec(mode="simulated").name,
        stack.spec(mode="simulated", seed=8).name,
        stack.spec(mode="simulated", companies=500).name,
        stack.spec(mode="simulated", faults='{"429": 0.1}').name,
        stack.spec(mode="recorded", recordings=str(tmp_path / "a")).name,
        stack.spec(mode="recorded", recordings=str(tmp_path / "b")).name,
        stack.spec(mode="live").name,
    ]
    assert names[0] == "simulated_7_60"
    assert len(set(names)) == len(names)
    # what a mode does not read makes no other stack
    assert stack.spec(mode="simulated", recordings="/anywhere") == stack.spec(mode="simulated")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mode": "demo"}, "MODE=demo"),
        ({"mode": "recorded"}, "RECORDINGS=dir"),
        ({"mode": "recorded", "recordings": "/no/such/folder"}, "RECORDINGS=/no/such/folder is no folder"),
        ({"mode": "simulated", "companies": 5}, "COMPANIES=5"),
        ({"mode": "simulated", "port": 80}, "PORT=80"),
        ({"mode": "simulated", "faults": "429"}, "FAULTS=429"),
        ({"mode": "simulated", "faults": '{"429": 2}'}, "FAULTS="),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(wrong: dict, said: str) -> None:
    with pytest.raises(stack.StackError, match=said) as caught:
        stack.spec(**wrong)
    assert "\n" not in str(caught.value)


def test_an_empty_recordings_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(stack.StackError, match="holds no recordings"):
        stack.spec(mode="recorded", recordings=str(tmp_path))


def test_a_busy_port_is_an_error_that_names_the_variable() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(stack.StackError, match=f"port {port} is used by another program.*PORT="):
            stack._check_port(port)


def test_a_full_disk_is_an_error_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "FREE_DISK", 10**18)
    with pytest.raises(stack.StackError, match="GiB free"):
        stack._check_disk()


def test_state_holds_the_password_for_its_owner_only_and_comes_back_equal(own_folder: Path) -> None:
    written = state()
    written.processes["airflow"] = (12, 34.5)
    stack._save(written)
    path = own_folder / "state.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stack.last_state() == written
    assert "word" not in repr(written)


def test_the_sandbox_stands_behind_the_same_connection_ids_as_production(embedded: None) -> None:
    found = stack.environment(state())
    for conn_id in ("sec_edgar", "polygon", "tiingo", "yahoo", "reference"):
        host = json.loads(found[f"AIRFLOW_CONN_{conn_id.upper()}"])["host"]
        assert host.startswith("http://127.0.0.1:4321"), conn_id
    assert found["CLOSINGBELL_MARKET_ENDS_ON"] == "2025-12-05"
    assert found["CLOSINGBELL_DATABASE_URL"].startswith("postgresql+psycopg2://postgres@localhost/cb_simulated_7_60?")
    warehouse = json.loads(found["AIRFLOW_CONN_WAREHOUSE"])
    assert (warehouse["schema"], warehouse["extra"]["host"]) == ("cb_simulated_7_60", "/run/pg")


def test_keys_become_connections_of_live_and_of_no_other_mode(embedded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"POLYGON_API_KEY": "given-p", "TIINGO_TOKEN": "given-t", "GEMINI_API_KEY": "given-g"}
    monkeypatch.setattr(stack, "dotenv", lambda: keys)
    live = stack.environment(state(stack.Spec(mode="live")))
    polygon = json.loads(live["AIRFLOW_CONN_POLYGON"])
    assert (polygon["host"], polygon["password"]) == ("https://api.massive.com", "given-p")
    assert json.loads(live["AIRFLOW_CONN_TIINGO"])["password"] == "given-t"
    assert json.loads(live["AIRFLOW_CONN_GEMINI"])["password"] == "given-g"
    assert "password" not in json.loads(live["AIRFLOW_CONN_BENZINGA"])
    assert live["CLOSINGBELL_PRICE_VENDOR"] == "polygon"
    assert not any(key in str(stack.environment(state())) for key in keys.values())


def test_a_command_on_live_has_every_connection_of_the_settings_file(embedded: None) -> None:
    live = stack.environment(state(stack.Spec(mode="live")))
    for connection in stack.settings_file()["connections"]:
        found = json.loads(live[f"AIRFLOW_CONN_{connection['conn_id'].upper()}"])
        assert (found["conn_type"], found["host"]) == (connection["conn_type"], connection["conn_host"])
    # Airflow itself takes those without a key from Admin > Connections, which a variable would hide
    own = stack._own_environment(state(stack.Spec(mode="live")))
    assert [name for name in own if name.startswith("AIRFLOW_CONN_")] == ["AIRFLOW_CONN_WAREHOUSE"]


@pytest.mark.parametrize(
    ("given", "vendor"),
    [
        ({}, "yahoo"),
        ({"TIINGO_API_KEY": "t"}, "tiingo"),
        ({"TIINGO_API_KEY": "t", "POLYGON_API_KEY": "p"}, "polygon"),
        ({"POLYGON_API_KEY": "p", "CLOSINGBELL_PRICE_VENDOR": "yahoo"}, "yahoo"),
    ],
)
def test_the_best_price_vendor_with_a_key_is_taken(given: dict, vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "dotenv", lambda: given)
    assert stack.price_vendor() == vendor


def test_airflow_has_its_port_in_both_settings(embedded: None) -> None:
    # without the second, every task fails with "connection refused" on any port but 8080
    found = stack.airflow_environment(state(stack.Spec(port=18090)))
    assert found["AIRFLOW__API__PORT"] == "18090"
    assert found["AIRFLOW__API__BASE_URL"] == "http://localhost:18090"
    assert found["AIRFLOW__CORE__TEST_CONNECTION"] == "Enabled"


def test_libpq_url_names_the_socket_folder(embedded: None) -> None:
    assert stack.libpq_url(state()) == "postgresql://postgres@/cb_simulated_7_60?host=%2Frun%2Fpg"


def test_a_server_of_ones_own_holds_the_same_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    server = "postgresql://me:word@db.example.com:5433/postgres"
    monkeypatch.setattr(stack, "dotenv", lambda: {"CLOSINGBELL_DATABASE_URL": server})
    own = state()
    own.server = stack._server()
    assert own.server == "postgresql://me:***@db.example.com:5433/postgres"  # state.json holds no password of it
    assert own.warehouse_url() == "postgresql+psycopg2://me:word@db.example.com:5433/cb_simulated_7_60"
    assert own.metadata_url() == "postgresql+psycopg2://me:word@db.example.com:5433/airflow_simulated_7_60"
    assert stack.libpq_url(own) == "postgresql://me:word@db.example.com:5433/cb_simulated_7_60"


def test_an_unreachable_server_is_one_line_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = "postgresql://me:word@127.0.0.1:1/postgres"
    monkeypatch.setattr(stack, "dotenv", lambda: {"CLOSINGBELL_DATABASE_URL": server})
    monkeypatch.setattr(stack, "_stop", lambda *_, **__: pytest.fail("the stack that is up was stopped"))
    stack._save(state())
    with pytest.raises(stack.StackError, match=r"127\.0\.0\.1.*Connection refused.*CLOSINGBELL_DATABASE_URL") as caught:
        stack.up(stack.Spec(port=stack._free_port()), lambda _: None)
    assert "\n" not in str(caught.value)
    assert "word" not in str(caught.value)


def test_live_refuses_without_a_contact_and_invents_none() -> None:
    with pytest.raises(stack.StackError, match="CLOSINGBELL_SEC_CONTACT"):
        stack.check_live()


def test_live_without_a_network_fails_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "dotenv", lambda: {"CLOSINGBELL_SEC_CONTACT": "someone@example.com"})

    def unreachable(*_: object, timeout: float, **__: object) -> None:
        assert timeout <= 60
        raise httpx.ConnectError("Name or service not known")

    monkeypatch.setattr(httpx, "get", unreachable)
    with pytest.raises(stack.StackError, match=r"cannot reach https://www\.sec\.gov: Name or service") as caught:
        stack.check_live()
    assert "\n" not in str(caught.value)


def test_a_command_keeps_to_the_warehouse_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    stack._save(state())
    given = {"CLOSINGBELL_DATABASE_URL": "postgresql://me@elsewhere/mine"}
    monkeypatch.setenv(*next(iter(given.items())))
    monkeypatch.setattr(stack, "dotenv", lambda: given)
    assert stack.adopt() is None


def test_down_ends_what_it_started_and_nothing_else() -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    child_maker = f"import subprocess, time; subprocess.Popen({sleeper!r}, start_new_session=True); time.sleep(60)"
    running = state()
    stack.ROOT.mkdir(parents=True)
    bystander = subprocess.Popen(sleeper)
    try:
        ours = stack._spawn(running, "airflow", [sys.executable, "-c", child_maker], stack.ROOT / "log", {})
        children: list[psutil.Process] = []
        while not children:
            children = psutil.Process(ours.pid).children()
        # a process that got the number of one that ended is not ours
        running.processes["sandbox"] = (bystander.pid, psutil.Process(bystander.pid).create_time() - 1000)
        stack._save(running)
        stack.down(lambda _: None)
        assert ours.wait(timeout=10) is not None
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
        assert bystander.poll() is None
        ended = stack.last_state()
        assert ended is not None
        assert ended.processes == {}
    finally:
        bystander.kill()
        bystander.wait()


def test_settings_file_names_vendors_hosts_and_no_secret() -> None:
    content = stack.settings_file()
    assert {c["conn_id"] for c in content["connections"]} >= {"sec_edgar", "polygon", "tiingo", "yahoo", "reference"}
    for connection in content["connections"]:
        assert not connection["conn_password"]
        assert not connection["conn_login"]
        assert str(connection["conn_host"]).startswith("https://")


def test_settings_go_into_airflows_database_once_and_what_is_there_is_kept() -> None:
    from airflow.models.connection import Connection
    from airflow.models.pool import Pool
    from airflow.models.variable import Variable
    from sqlalchemy import create_engine, select
    from sqlalchemy.orm import Session

    content = stack.settings_file()
    with Session(create_engine("sqlite://")) as session:
        for model in (Connection, Pool, Variable):
            model.__table__.create(session.connection())
        session.add(Pool(pool="yahoo", slots=7, description="", include_deferred=False))
        session.flush()
        new = stack.load_settings_into(session)
        session.flush()
        assert {"connection sec_edgar", "pool sec_edgar"} <= set(new)
        assert "pool yahoo" not in new
        slots = dict(session.execute(select(Pool.pool, Pool.slots)).tuples().all())
        assert slots == {p["pool_name"]: p["pool_slot"] for p in content["pools"]} | {"yahoo": 7}
        hosts = dict(session.execute(select(Connection.conn_id, Connection.host)).tuples().all())
        assert hosts == {c["conn_id"]: c["conn_host"] for c in content["connections"]}
        assert stack.load_settings_into(session) == []


def test_every_key_in_the_example_file_is_read() -> None:
    example = (stack.REPOSITORY / ".env.example").read_text()
    for names in stack.KEYS.values():
        for name in names:
            assert name in example
    assert "CLOSINGBELL_SEC_CONTACT=\n" in example
