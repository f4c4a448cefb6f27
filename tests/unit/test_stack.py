"""The stack: what it is called, what it refuses, what it tells its processes, and that it ends only its own."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url

from closingbell import postgres, stack
from closingbell.hooks.sec_edgar import SecEdgar
from closingbell.pipelines import ticker_vendors
from closingbell.settings import REPOSITORY, settings
from closingbell.stack import checks, keys, processes, record, services
from closingbell.stack.airflow_settings import settings_file
from closingbell.stack.environment import airflow_environment, own_environment
from closingbell.warehouse import db


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack folder of this test, and an environment without keys."""
    monkeypatch.setattr(record, "ROOT", tmp_path / "stack")
    monkeypatch.setattr(keys, "dotenv", lambda: {})
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        monkeypatch.delenv(name)
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
        record, "server_url", lambda _: "postgresql+psycopg2://postgres@localhost/postgres?host=/run/pg"
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
        ({"mode": "simulated", "seed": -1}, "SEED=-1: use 0 to 4294967295"),
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
            checks.check_port(port)


def test_a_full_disk_is_an_error_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "FREE_DISK", 10**18)
    with pytest.raises(stack.StackError, match="GiB free"):
        checks.check_disk()


def test_state_holds_the_password_for_its_owner_only_and_comes_back_equal(own_folder: Path) -> None:
    written = state()
    written.processes["airflow"] = (12, 34.5)
    record.save(written)
    path = own_folder / "state.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stack.last_state() == written
    assert "word" not in repr(written)


def test_the_sandbox_stands_behind_the_same_connection_ids_as_production(embedded: None) -> None:
    found = stack.environment(state())
    for conn_id in ("sec_edgar", "polygon", "tiingo", "yahoo", "benzinga", "reference"):
        host = json.loads(found[f"AIRFLOW_CONN_{conn_id.upper()}"])["host"]
        assert host.startswith("http://127.0.0.1:4321"), conn_id
    assert found["CLOSINGBELL_MARKET_ENDS_ON"] == "2025-12-05"
    assert found["CLOSINGBELL_SIMULATED"] == "true"
    assert found["CLOSINGBELL_DATABASE_URL"].startswith("postgresql+psycopg2://postgres@localhost/cb_simulated_7_60?")
    warehouse = json.loads(found["AIRFLOW_CONN_WAREHOUSE"])
    assert (warehouse["schema"], warehouse["extra"]["host"]) == ("cb_simulated_7_60", "/run/pg")


def test_vendors_of_which_nothing_is_recorded_have_no_key_in_a_recorded_stack(
    embedded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BENZINGA", '{"conn_type": "benzinga", "password": "the operators own"}')
    recorded = stack.environment(state(stack.Spec(mode="recorded", recordings="/recordings")))
    for vendor, keyed in {"BENZINGA": False, "MARKETAUX": False, "GEMINI": False, "POLYGON": True}.items():
        entry = json.loads(recorded[f"AIRFLOW_CONN_{vendor}"])
        assert entry["host"].startswith("http://")
        assert ("password" in entry) is keyed, vendor
    assert "password" in json.loads(stack.environment(state())["AIRFLOW_CONN_BENZINGA"])


def test_keys_become_connections_of_live_and_of_no_other_mode(embedded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"POLYGON_API_KEY": "given-p", "TIINGO_TOKEN": "given-t", "GEMINI_API_KEY": "given-g"}
    monkeypatch.setattr(keys, "dotenv", lambda: given)
    live = stack.environment(state(stack.Spec(mode="live")))
    polygon = json.loads(live["AIRFLOW_CONN_POLYGON"])
    assert (polygon["host"], polygon["password"]) == ("https://api.massive.com", "given-p")
    assert json.loads(live["AIRFLOW_CONN_TIINGO"])["password"] == "given-t"
    assert json.loads(live["AIRFLOW_CONN_GEMINI"])["password"] == "given-g"
    assert "password" not in json.loads(live["AIRFLOW_CONN_BENZINGA"])
    assert live["CLOSINGBELL_PRICE_VENDOR"] == "polygon"
    assert not any(key in str(stack.environment(state())) for key in given.values())


def test_a_command_on_live_has_every_connection_of_the_settings_file(embedded: None) -> None:
    live = stack.environment(state(stack.Spec(mode="live")))
    for connection in settings_file()["connections"]:
        found = json.loads(live[f"AIRFLOW_CONN_{connection['conn_id'].upper()}"])
        assert (found["conn_type"], found["host"]) == (connection["conn_type"], connection["conn_host"])
    # Airflow itself takes those without a key from Admin > Connections, which a variable would hide
    own = own_environment(state(stack.Spec(mode="live")))
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
    monkeypatch.setattr(keys, "dotenv", lambda: given)
    assert keys.price_vendor() == vendor


def test_a_price_vendor_by_connection_alone_is_taken_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TIINGO", "tiingo://:mine@api.tiingo.com")
    assert keys.price_vendor() == "tiingo"


def test_a_deployments_airflow_has_the_connections_of_the_keys_and_no_half_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(stack.StackError, match="no stack was started here yet"):
        stack.airflow_environ()
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://airflow@postgres/airflow")
    monkeypatch.delenv(stack.MARK, raising=False)
    assert stack.airflow_environ() == {"CLOSINGBELL_PRICE_VENDOR": "yahoo"}
    monkeypatch.setattr(keys, "dotenv", lambda: {"TIINGO_TOKEN": "given-t", "BENZINGA_API_KEY": "given-b"})
    found = stack.airflow_environ()
    assert found.keys() == {"CLOSINGBELL_PRICE_VENDOR", "AIRFLOW_CONN_TIINGO", "AIRFLOW_CONN_BENZINGA"}
    assert found["CLOSINGBELL_PRICE_VENDOR"] == "tiingo"
    assert json.loads(found["AIRFLOW_CONN_TIINGO"]) == {
        "conn_type": "tiingo",
        "host": "https://api.tiingo.com",
        "password": "given-t",
    }


def test_a_command_in_a_deployments_container_has_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = dict(os.environ)
    monkeypatch.setattr(os, "environ", environ)  # which adopt() changes
    environ |= {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://airflow@postgres/airflow"}
    environ.pop(stack.MARK, None)
    monkeypatch.setattr(keys, "dotenv", lambda: {"TIINGO_TOKEN": "given-t"})
    assert stack.adopt() is None
    assert json.loads(environ["AIRFLOW_CONN_TIINGO"])["password"] == "given-t"
    assert json.loads(environ["AIRFLOW_CONN_YAHOO"])["host"].startswith("https://")


def test_airflow_joins_the_last_stack(embedded: None) -> None:
    record.save(state())
    found = stack.airflow_environ()
    assert "airflow_simulated_7_60" in found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert found["AIRFLOW_HOME"].endswith("simulated_7_60/airflow")


def test_airflow_has_its_port_in_both_settings(embedded: None) -> None:
    # without the second, every task fails with "connection refused" on any port but 8080
    found = airflow_environment(state(stack.Spec(port=18090)))
    assert found["AIRFLOW__API__PORT"] == "18090"
    assert found["AIRFLOW__API__BASE_URL"] == "http://localhost:18090"
    assert found["AIRFLOW__CORE__TEST_CONNECTION"] == "Enabled"


def test_libpq_url_names_the_socket_folder(embedded: None) -> None:
    assert stack.libpq_url(state()) == "postgresql://postgres@/cb_simulated_7_60?host=%2Frun%2Fpg"


def test_a_server_of_ones_own_holds_the_same_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    server = "postgresql://me:word@db.example.com:5433/postgres"
    monkeypatch.setattr(keys, "dotenv", lambda: {"CLOSINGBELL_DATABASE_URL": server})
    own = state()
    own.server = record.server()
    assert own.server == "postgresql://me:***@db.example.com:5433/postgres"  # state.json holds no password of it
    assert own.warehouse_url() == "postgresql+psycopg2://me:word@db.example.com:5433/cb_simulated_7_60"
    assert own.metadata_url() == "postgresql+psycopg2://me:word@db.example.com:5433/airflow_simulated_7_60"
    assert stack.libpq_url(own) == "postgresql://me:word@db.example.com:5433/cb_simulated_7_60"


def test_an_unreachable_server_is_one_line_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = "postgresql://me:word@127.0.0.1:1/postgres"
    monkeypatch.setattr(keys, "dotenv", lambda: {"CLOSINGBELL_DATABASE_URL": server})
    monkeypatch.setattr(processes, "stop", lambda *_, **__: pytest.fail("the stack that is up was stopped"))
    record.save(state())
    with pytest.raises(stack.StackError, match=r"127\.0\.0\.1.*Connection refused.*CLOSINGBELL_DATABASE_URL") as caught:
        stack.up(stack.Spec(port=checks.free_port()), lambda _: None)
    assert "\n" not in str(caught.value)
    assert "word" not in str(caught.value)


def test_live_refuses_without_a_contact_and_invents_none(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecEdgar, "test", lambda _: pytest.fail("SEC was asked"))
    monkeypatch.setenv("CLOSINGBELL_SEC_CONTACT", "")
    settings.cache_clear()
    with pytest.raises(stack.StackError, match=r"MODE=live: .*CLOSINGBELL_SEC_CONTACT") as caught:
        stack.up(stack.Spec(mode="live", port=checks.free_port()), lambda _: None)
    assert "\n" not in str(caught.value)
    assert not (own_folder / "state.json").exists()


@pytest.fixture
def contact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "dotenv", lambda: {"CLOSINGBELL_SEC_CONTACT": "someone@example.com"})


def test_live_without_a_network_fails_with_one_line(
    contact: None, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SEC_EDGAR", '{"conn_type": "sec_edgar", "host": "http://127.0.0.1:1"}')
    with pytest.raises(
        stack.StackError, match=r"cannot use http://127\.0\.0\.1:1: .*refused.*check the network"
    ) as caught:
        checks.check_live(own_folder)
    assert "\n" not in str(caught.value)


def test_live_waits_for_no_name_server_that_is_silent(
    contact: None, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks._LIVE_SECONDS < 60
    assert checks._LIVE_TIMEOUT * 3 < checks._LIVE_SECONDS
    monkeypatch.setattr(checks, "_LIVE_SECONDS", 0.05)
    silent = threading.Event()
    monkeypatch.setattr(SecEdgar, "test", lambda _: silent.wait(60))
    try:
        with pytest.raises(stack.StackError, match=r"cannot use https://www\.sec\.gov: no answer in"):
            checks.check_live(own_folder)
    finally:
        silent.set()


def test_live_takes_the_operators_own_connection_before_the_settings_file(
    contact: None, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(SecEdgar, "test", lambda hook: (asked.append(hook.www) or True, ""))
    checks.check_live(own_folder)
    monkeypatch.setenv("AIRFLOW_CONN_SEC_EDGAR", '{"conn_type": "sec_edgar", "host": "https://mirror.example.com"}')
    checks.check_live(own_folder)
    assert asked == ["https://www.sec.gov", "https://mirror.example.com/www.sec.gov"]


def test_live_commands_and_airflow_keep_the_operators_own_connections(
    embedded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "dotenv", lambda: {"POLYGON_API_KEY": "given-p", "TIINGO_TOKEN": "given-t"})
    monkeypatch.setenv("AIRFLOW_CONN_POLYGON", "polygon://:mine@mirror.example.com")
    live = stack.environment(state(stack.Spec(mode="live")))
    assert "AIRFLOW_CONN_POLYGON" not in live  # neither the key's nor the file's, so the environment's own stays
    assert {"AIRFLOW_CONN_TIINGO", "AIRFLOW_CONN_SEC_EDGAR"} <= live.keys()
    assert "AIRFLOW_CONN_POLYGON" in stack.environment(state())  # a simulated market has its own vendors


def test_without_a_key_a_live_stack_works_on_a_list(embedded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    default = stack.spec(mode="live")
    assert default.tickers == ",".join(keys.TICKERS_WITHOUT_A_KEY)
    assert own_environment(state(default))["CLOSINGBELL_TICKERS"] == default.tickers
    monkeypatch.setattr(keys, "dotenv", lambda: {"CLOSINGBELL_TICKERS": "IBM, KO"})
    assert stack.spec(mode="live").tickers == "IBM,KO"
    assert stack.spec(mode="live", tickers=["NVDA"]).tickers == "NVDA"
    with pytest.raises(stack.StackError, match=r"TICKERS names 501 stocks.*POLYGON_API_KEY"):
        stack.spec(mode="live", tickers=[f"T{number}" for number in range(501)])
    assert record.YAHOO_LIMIT == ticker_vendors.YAHOO_LIMIT


def test_with_a_key_a_live_stack_works_on_everybody(embedded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "dotenv", lambda: {"POLYGON_API_KEY": "given-p"})
    whole = stack.spec(mode="live", tickers=["NVDA"])  # of one run, not of the stack
    assert whole.tickers == ""
    assert "CLOSINGBELL_TICKERS" not in own_environment(state(whole))  # the operator's own setting counts
    narrow = stack.spec(mode="live", tickers=["NVDA"], every_run=True)
    assert own_environment(state(narrow))["CLOSINGBELL_TICKERS"] == "NVDA"


def test_the_operators_list_of_live_stocks_narrows_no_sandbox(embedded: None) -> None:
    assert stack.spec(mode="simulated", tickers=["NVDA"]) == stack.spec(mode="simulated")
    assert own_environment(state())["CLOSINGBELL_TICKERS"] == ""
    narrow = stack.spec(mode="simulated", tickers=["NVDA", "KO"], every_run=True)
    assert own_environment(state(narrow))["CLOSINGBELL_TICKERS"] == "NVDA,KO"


def test_a_command_keeps_to_the_warehouse_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    record.save(state())
    given = {"CLOSINGBELL_DATABASE_URL": "postgresql://me@elsewhere/mine"}
    monkeypatch.setenv(*next(iter(given.items())))
    monkeypatch.setattr(keys, "dotenv", lambda: given)
    assert stack.adopt() is None


def test_down_ends_what_it_started_and_nothing_else() -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    child_maker = f"import subprocess, time; subprocess.Popen({sleeper!r}, start_new_session=True); time.sleep(60)"
    running = state()
    record.ROOT.mkdir(parents=True)
    bystander = subprocess.Popen(sleeper)
    try:
        ours = processes.spawn(running, "airflow", [sys.executable, "-c", child_maker], record.ROOT / "log", {})
        children: list[psutil.Process] = []
        while not children:
            children = psutil.Process(ours.pid).children()
        # a process that got the number of one that ended is not ours
        running.processes["sandbox"] = (bystander.pid, psutil.Process(bystander.pid).create_time() - 1000)
        record.save(running)
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


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"spec": {"colour": 1}, "processes": {}}'])
def test_a_state_file_of_another_version_is_one_line(content: str, own_folder: Path) -> None:
    own_folder.mkdir(parents=True)
    (own_folder / "state.json").write_text(content)
    with pytest.raises(stack.StackError, match=r"state\.json is not readable; end the stack by hand"):
        stack.down(lambda _: None)


def test_a_server_whose_start_was_interrupted_is_ended_by_down(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Path) -> str:
        raise KeyboardInterrupt

    stopped: list[Path] = []
    monkeypatch.setattr(postgres, "start", interrupted)
    monkeypatch.setattr(postgres, "stop", stopped.append)
    with pytest.raises(KeyboardInterrupt):
        stack.up(stack.Spec(port=checks.free_port()), lambda _: None)
    stack.down(lambda _: None)
    assert stopped == [own_folder / "postgres"]


def test_a_stack_that_is_up_gets_back_a_database_that_is_gone(
    embedded: None, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = state(stack.Spec(port=checks.free_port()))
    record.save(running)
    monkeypatch.setattr(stack, "is_up", lambda _: True)
    made: list[str] = []
    monkeypatch.setattr(db, "create_database", lambda url: made.append(str(make_url(url).database)))
    monkeypatch.setattr(db, "migrate", lambda url: made.append(f"migrated {make_url(url).database}") or [])
    assert stack.up(running.spec, lambda _: None) == running
    assert made == ["cb_simulated_7_60", "airflow_simulated_7_60", "migrated cb_simulated_7_60"]


def test_a_full_disk_while_it_starts_is_one_line_and_leaves_nothing_running(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: stack.State) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(own_folder / "postgres"))

    monkeypatch.setattr(services, "start_postgres", full)
    with pytest.raises(stack.StackError, match=r"No space left on device.*is the disk full") as caught:
        stack.up(stack.Spec(port=checks.free_port()), lambda _: None)
    assert "\n" not in str(caught.value)
    ended = stack.last_state()
    assert ended is not None
    assert ended.processes == {}


def test_settings_file_names_vendors_hosts_and_no_secret() -> None:
    content = settings_file()
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

    content = settings_file()
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
    example = (REPOSITORY / ".env.example").read_text()
    for names in keys.KEYS.values():
        for name in names:
            assert name in example
    assert "CLOSINGBELL_SEC_CONTACT=\n" in example
