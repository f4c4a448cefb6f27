"""The `closingbell` command: what its options become, and that errors are one line and exit code 1."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from closingbell import cli, stack
from closingbell.cli import loads
from closingbell.stack import record


class Ran(list):
    """What the load path was asked: (load, dag_id, run_id, partition_key, params)."""


class Load(str):
    """Stands for a load: equal to its name."""

    tables = ("a_table",)

    @property
    def name(self) -> str:
        return str(self)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ran:
    """A load path that only records; no stack, no warehouse."""
    from closingbell import pipelines
    from closingbell.orchestration import partitions
    from closingbell.pipelines import base

    asked = Ran()
    monkeypatch.setattr(partitions, "claimed_by_command", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(record, "ROOT", tmp_path / "stack")
    monkeypatch.setattr(
        pipelines, "LOADS", {name: Load(name) for names in loads.LOADS.values() for name in names}, raising=False
    )
    monkeypatch.setattr(base, "open_run", lambda *run, by_command=False: run)

    def run_load(load: str, run: tuple, *, progress: bool) -> dict[str, Any]:
        assert progress
        asked.append((load, *run))
        return {"a_table": {"inserted": 3, "unchanged": 4}}

    monkeypatch.setattr(base, "run_load", run_load)
    monkeypatch.setattr(base, "plan", lambda load, run: asked.append((load, *run)) or [{"key": "one"}])
    return asked


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `closingbell ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["closingbell", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def test_tickers_may_be_repeated_or_separated_by_commas(ran: Ran, monkeypatch, capsys) -> None:
    assert command(monkeypatch, "sec-financials", "--ticker", "aapl", "-t", "NVDA,cost", "--years", "5") == 0
    load, dag_id, run_id, partition_key, params = ran[0]
    assert (load, dag_id) == ("sec_financials", "sec_financials")
    assert run_id.startswith("cli__")
    assert partition_key
    assert params == {"tickers": ["AAPL", "NVDA", "COST"], "years": 5}
    assert capsys.readouterr().out == "a_table: 3 inserted, 4 unchanged\n"


def test_ratings_are_of_some_stocks_of_the_sp500_or_of_files(ran: Ran, monkeypatch, tmp_path: Path) -> None:
    assert command(monkeypatch, "analyst-ratings", "--sp500", "--months", "24") == 0
    assert [(load, params) for load, _, _, _, params in ran] == [
        ("analyst_ratings", {"sp500": True, "months": 24}),
        ("analyst_consensus", {"sp500": True, "months": 24}),
    ]
    assert command(monkeypatch, "analyst-ratings", "--limit", "500") == 0
    assert ran[2][4] == {"limit": 500}
    assert command(monkeypatch, "analyst-ratings", "--from-files", str(tmp_path)) == 0
    assert command(monkeypatch, "analyst-ratings", "--sp500", "--limit", "5") == 1


def test_insiders_are_of_hours_of_days_or_of_files(ran: Ran, monkeypatch, tmp_path: Path) -> None:
    assert command(monkeypatch, "insider-trades", "--hours", "24") == 0
    assert command(monkeypatch, "insider-trades", "--backfill", "90", "-t", "AAPL") == 0
    assert [(load, params) for load, _, _, _, params in ran] == [
        ("insider_trades", {"hours": 24}),
        ("insider_activity", {"hours": 24}),
        ("insider_trades", {"backfill": 90, "tickers": ["AAPL"]}),
        ("insider_activity", {"backfill": 90, "tickers": ["AAPL"]}),
    ]
    assert command(monkeypatch, "insider-trades", "--hours", "24", "--from-files", str(tmp_path)) == 1


@pytest.mark.parametrize(
    ("command_line", "params"),
    [
        ("insider-trades --hours 24", {"hours": 24}),
        ("insider-trades --backfill 90", {"backfill": 90}),
        ("institutional-holdings --quarter 2024Q3", {"quarters": ["2024Q3"]}),
        ("institutional-holdings --backfill 4", {"backfill": 4}),
        ("analyst-ratings --limit 500", {"limit": 500}),
        ("analyst-ratings --sp500", {"sp500": True}),
        ("analyst-ratings", {}),
        ("analyst-ratings --months 24", {"months": 24}),
        ("analyst-ratings --full", {"full": True}),
        ("news --hours 24", {"hours": 24, "model": "auto"}),
        ("news --ticker AAPL", {"tickers": ["AAPL"], "model": "auto"}),
        ("news --backfill 30", {"backfill": 30, "model": "auto"}),
    ],
)
def test_each_window_is_what_every_load_of_its_command_is_asked(command_line, params, ran, monkeypatch) -> None:
    assert command(monkeypatch, *command_line.split()) == 0
    assert [(load, asked) for load, _, _, _, asked in ran] == [
        (load, params) for load in loads.LOADS[command_line.split()[0]]
    ]


@pytest.mark.parametrize(
    "command_line",
    [
        *(f"insider-trades {window}" for window in ("--hours 24", "--backfill 90", "--ticker AAPL")),
        *(f"institutional-holdings {window}" for window in ("--quarter 2024Q3", "--backfill 4", "--full")),
        *(
            f"analyst-ratings {window}"
            for window in ("--limit 500", "--sp500", "--ticker AAPL", "--months 2", "--full")
        ),
        *(f"news {window}" for window in ("--hours 24", "--ticker AAPL", "--backfill 30")),
        *(f"sec-financials {choice}" for choice in ("--ticker AAPL", "--limit 5", "--all", "--full")),
        *(f"universe {choice}" for choice in ("--source sec", "--source stocks_table", "--full")),
        *(f"prices {choice}" for choice in ("--all", "--session 2025-12-05")),
    ],
)
def test_a_window_beside_files_is_refused_and_not_ignored(command_line, ran, monkeypatch, tmp_path, capsys) -> None:
    name, option, *value = command_line.split()
    assert command(monkeypatch, name, "--from-files", str(tmp_path), option, *value) == 1
    assert f"--from-files loads what the files hold: give it without {option}" in capsys.readouterr().err
    assert ran == []
    assert command(monkeypatch, name, "--from-files", str(tmp_path)) == 0
    assert {tuple(params["from_files"]) for *_, params in ran} == {(str(tmp_path),)}


def test_institutions_are_of_quarters_by_name_or_of_the_last_so_many(ran: Ran, monkeypatch, capsys) -> None:
    assert command(monkeypatch, "institutional-holdings", "--quarter", "2024Q3") == 0
    assert command(monkeypatch, "institutional-holdings", "-q", "2024Q3, 2024Q4", "-q", "2025Q1", "--full") == 0
    assert command(monkeypatch, "institutional-holdings", "--backfill", "4") == 0
    names = ["cusips", "institutional_holdings", "institutional_ownership"]
    assert [load for load, *_ in ran] == names * 3
    assert [params for *_, params in ran[::3]] == [
        {"quarters": ["2024Q3"]},
        {"quarters": ["2024Q3", "2024Q4", "2025Q1"], "full": True},
        {"backfill": 4},
    ]
    assert all(ran[at][4] == ran[at - at % 3][4] for at in range(9))
    assert command(monkeypatch, "institutional-holdings", "--quarter", "2024Q3", "--backfill", "4") == 1
    assert "not both" in capsys.readouterr().err
    assert len(ran) == 9


def test_a_session_is_the_partition_key(ran: Ran, monkeypatch) -> None:
    assert command(monkeypatch, "prices", "--all", "--session", "2025-12-05") == 0
    assert ran[0][3:] == ("2025-12-05", {"all": True, "session": "2025-12-05"})


def test_the_session_is_the_last_that_the_sandbox_serves_by_default(ran: Ran, monkeypatch) -> None:
    from closingbell.settings import settings

    monkeypatch.setenv("CLOSINGBELL_MARKET_ENDS_ON", "2025-12-05")
    settings.cache_clear()
    assert command(monkeypatch, "valuations", "--limit", "9") == 0
    monkeypatch.delenv("CLOSINGBELL_MARKET_ENDS_ON")
    settings.cache_clear()
    assert ran[0][3:] == ("2025-12-05", {"limit": 9, "session": "2025-12-05"})


def test_a_range_ends_with_its_last_session(ran: Ran, monkeypatch) -> None:
    assert command(monkeypatch, "indicators", "--limit", "9", "--first", "2025-11-24", "--last", "2025-12-01") == 0
    assert ran[0][4] == {"limit": 9, "session": "2025-12-01", "first": "2025-11-24", "last": "2025-12-01"}


def test_files_are_handed_on_as_absolute_paths(ran: Ran, monkeypatch, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.mkdir()
    assert command(monkeypatch, "sec-financials", "--from-files", str(folder)) == 0
    assert ran[0][4] == {"from_files": [str(folder)]}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from-files", "a", "b", "c", "--run-id", "mine"),
        ("--from-files", "a", "--from-files", "b", "c", "--run-id", "mine"),
        ("--run-id", "mine", "--from-files", "a", "b", "c"),
    ],
)
def test_several_files_may_follow_one_option(arguments, ran: Ran, monkeypatch, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "sec-financials", *arguments) == 0
    assert ran[0][2] == "mine"
    assert ran[0][4] == {"from_files": [str(tmp_path / name) for name in "abc"]}


def test_the_same_run_id_goes_on_with_the_same_run(ran: Ran, monkeypatch) -> None:
    assert command(monkeypatch, "universe", "--run-id", "mine") == 0
    assert ran[0][2] == "mine"


@pytest.fixture
def unfinished(ran: Ran, database: Engine) -> None:
    """Two runs of the command that wait, one that has published, one of Airflow's."""
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.stages"
                " (stage_id, dag_id, run_id, table_name, partition_key, status, asked, opened_at) VALUES"
                " ('a', 'sec_financials', 'last', 'filings', 'x', 'published', :limit, now()),"
                " ('b', 'sec_financials', 'last', 'financials', 'x', 'open', :limit, now()),"
                " ('c', 'sec_financials', 'done', 'filings', 'x', 'published', :limit, now()),"
                " ('d', 'sec_financials', 'scheduled__2025-12-06', 'filings', 'x', 'open', NULL, now()),"
                " ('e', 'sec_financials', 'mine', 'filings', 'y', 'failed', :files, now() - interval '1 day')"
            ),
            {"limit": '{"limit": 9, "full": true}', "files": '{"from_files": ["/answers/facts.zip"], "years": 5}'},
        )


def test_resume_takes_up_what_the_unfinished_run_was_asked(ran: Ran, unfinished, monkeypatch) -> None:
    assert command(monkeypatch, "sec-financials", "--resume") == 0
    assert ran[0][2:] == ("last", "x", {"limit": 9, "full": True})


def test_resume_takes_up_a_run_by_its_name_and_the_files_it_was_given(ran: Ran, unfinished, monkeypatch) -> None:
    assert command(monkeypatch, "sec-financials", "--resume", "--run-id", "mine") == 0
    assert ran[0][2:] == ("mine", "y", {"from_files": ["/answers/facts.zip"], "years": 5})


def test_a_run_that_has_published_is_not_resumed(ran: Ran, unfinished, monkeypatch, capsys) -> None:
    assert command(monkeypatch, "sec-financials", "--resume", "--run-id", "done") == 1
    assert "done is no run of sec_financials that waits to be resumed" in capsys.readouterr().err


def test_a_step_of_an_airflow_run_is_part_of_that_run(ran: Ran, monkeypatch) -> None:
    monkeypatch.setenv("CLOSINGBELL_DAG_ID", "market_close")
    monkeypatch.setenv("CLOSINGBELL_RUN_ID", "scheduled__1")
    monkeypatch.setenv("CLOSINGBELL_PARTITION_KEY", "2025-12-05")
    assert command(monkeypatch, "indicators", "--all", "--session", "2025-12-05") == 0
    assert ran[0][1:4] == ("market_close", "scheduled__1", "2025-12-05")


def test_sessions_may_be_a_list(ran: Ran, monkeypatch) -> None:
    assert command(monkeypatch, "indicators", "--all", "--session", "2025-12-05,2025-11-28") == 0
    assert ran[0][3] == "2025-12-05"
    assert ran[0][4]["sessions"] == ["2025-11-28", "2025-12-05"]
    # an empty place is no day, and not the last session that closed
    assert command(monkeypatch, "indicators", "--all", "--session", "2025-12-05,") == 0
    assert ran[1][4]["sessions"] == ["2025-12-05"]


def test_a_mapped_step_stages_its_batch(ran: Ran, monkeypatch, capsys) -> None:
    from closingbell.pipelines import base

    staged = []
    monkeypatch.setattr(base, "stage", lambda load, run, batch: staged.append((load, *run, batch)) or {"facts": 9})
    assert command(monkeypatch, "stage-batch", "sec_financials") == 1
    assert "is a step of an Airflow run" in capsys.readouterr().err
    batch = {"key": "one", "landing_ids": [7]}
    given = {"DAG_ID": "sec_financials", "RUN_ID": "r", "PARTITION_KEY": "2025-12-05", "PARAMS": '{"years": 5}'}
    for name, value in (given | {"PART": json.dumps({"number": 1, "of": 2, "batch": batch})}).items():
        monkeypatch.setenv(f"CLOSINGBELL_{name}", value)
    assert command(monkeypatch, "stage-batch", "sec_financials") == 0
    assert staged == [("sec_financials", "sec_financials", "r", "2025-12-05", {"years": 5}, batch)]
    assert capsys.readouterr().out == "facts: 9 rows\n"


def test_a_busy_partition_and_a_spent_quota_are_exit_code_75(ran: Ran, monkeypatch, capsys) -> None:
    from closingbell.orchestration import partitions

    def busy(*_: Any, **__: Any) -> Any:
        raise partitions.PartitionBusy("stock_prices 2025-12-05 is written by market_close r")

    monkeypatch.setattr(partitions, "claimed_by_command", busy)
    assert command(monkeypatch, "prices", "--all", "--session", "2025-12-05") == 75
    assert "written by market_close r" in capsys.readouterr().err
    assert command(monkeypatch, "replay", "a_table") == 75  # of a whole table
    assert "written by market_close r" in capsys.readouterr().err
    monkeypatch.setenv("CLOSINGBELL_RUN_ID", "scheduled__1")  # the task has claimed it
    assert command(monkeypatch, "prices", "--all", "--session", "2025-12-05") == 0


def test_a_dry_run_plans_only(ran: Ran, monkeypatch, capsys) -> None:
    assert command(monkeypatch, "universe", "--dry-run") == 0
    assert capsys.readouterr().out == "universe: 1 batches: one\n"


def test_the_universe_takes_what_the_dags_form_takes(ran: Ran, monkeypatch) -> None:
    assert command(monkeypatch, "universe", "--full", "--source", "stocks_table") == 0
    assert ran[0][4] == {"full": True, "source": "stocks_table"}


def test_housekeeping_keeps_what_runs_of_the_deployments_airflow_wait_for(
    database: Engine, monkeypatch, tmp_path: Path, capsys
) -> None:
    from closingbell.airflow_api import AirflowAPI, AirflowError
    from closingbell.settings import settings

    monkeypatch.setattr(record, "ROOT", tmp_path / "stack")
    monkeypatch.setenv("CLOSINGBELL_AIRFLOW_URL", "http://airflow.example.com")
    monkeypatch.setenv("CLOSINGBELL_AIRFLOW_PASSWORD", "a-token")
    settings.cache_clear()
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.stages (stage_id, dag_id, run_id, table_name, partition_key, status, opened_at)"
                " SELECT run, 'market_close', run, 'filings', 'x', 'open', now() - interval '30 days'"
                " FROM unnest(ARRAY['waits', 'waits too', 'ended']) AS run"
            )
        )

    def down(*_: Any, **__: Any) -> Any:
        raise AirflowError("Airflow at http://airflow.example.com does not answer")

    def listing(api: AirflowAPI, path: str, *, offset: int, **asked: Any) -> dict[str, Any]:
        assert (api.base_url, path) == ("http://airflow.example.com", "/dags/~/dagRuns")
        assert asked == {"limit": 100, "state": ["running", "queued"]}
        runs = [{"dag_id": "market_close", "dag_run_id": name} for name in ("waits", "waits too", "another")]
        return {"dag_runs": runs[offset : offset + 1], "total_entries": len(runs)}

    monkeypatch.setattr(AirflowAPI, "get", down)
    assert command(monkeypatch, "housekeeping") == 1  # who cannot be asked may have runs that wait
    assert "does not answer" in capsys.readouterr().err
    monkeypatch.setattr(AirflowAPI, "get", listing)
    assert command(monkeypatch, "housekeeping") == 0
    assert capsys.readouterr().out.startswith("stages: 1\n")
    with database.connect() as connection:
        dropped = connection.scalars(text("SELECT run_id FROM ops.stages WHERE status = 'abandoned'")).all()
    assert dropped == ["ended"]


def test_sql_reads_and_changes_nothing(database: Engine, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setattr(record, "ROOT", tmp_path / "stack")
    assert command(monkeypatch, "sql", "SELECT 1 AS one, 'a,b' AS text WHERE 'x' LIKE '%x' -- all;") == 0
    assert capsys.readouterr().out == 'one,text\n1,"a,b"\n'
    for wrong in (
        "DELETE FROM ops.landings RETURNING *",
        "SELECT 1) TO STDOUT; CREATE TABLE public.made (a int); COPY (SELECT 1",
    ):
        assert command(monkeypatch, "sql", wrong) == 1
        assert "read-only" in capsys.readouterr().err
    assert command(monkeypatch, "sql", "SELECT nothing FROM here") == 1
    assert 'relation "here" does not exist' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("universe", "--source", "excel"), "use sec or stocks_table"),
        (("sec-financials",), "give one of --ticker, --limit, --all"),
        (("sec-financials", "--all", "--limit", "5"), "not limit and all"),
        (("prices", "--all", "--session", "2025-11-27"), "2025-11-27 is no XNYS session"),  # Thanksgiving
        (("prices", "--all", "--session", "yesterday"), "yesterday is no date"),
        (("scores", "--all", "--session", ","), "--session ',' names no day"),
        (("prices", "--all", "--first", "2025-11-24"), "--first and --last go together"),
        (("prices", "--all", "--first", "2025-12-01", "--last", "2025-11-24"), "is after --last"),
        (("scores", "--all", "--session", "2027-11-19"), "has not closed yet"),
        (("scores", "--sector", "Crypto"), "--sector Crypto is no GICS sector: use Communication Services, Consumer D"),
        (("db-url",), "no stack was started here yet"),
        (("up", "--mode", "recorded"), "MODE=recorded needs RECORDINGS=dir"),
    ],
)
def test_an_error_is_one_line_and_exit_code_1(arguments, said: str, ran: Ran, monkeypatch, capsys) -> None:
    assert command(monkeypatch, *arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


def test_an_unknown_option_is_one_line_and_exit_code_2(monkeypatch, capsys) -> None:
    assert command(monkeypatch, "universe", "--wrong") == 2
    assert "--wrong" in capsys.readouterr().err


def test_a_database_error_shows_no_statement() -> None:
    from sqlalchemy.exc import OperationalError

    error = OperationalError("SELECT secret", {}, Exception("connection refused"))
    assert "SELECT" not in cli._one_line(error)
    assert "connection refused" in cli._one_line(error)


def test_the_command_starts_without_the_heavy_imports() -> None:
    heavy = "{'airflow', 'pandas', 'polars', 'torch', 'talib', 'great_expectations', 'exchange_calendars'}"
    code = f"import sys, closingbell.cli; print(sorted({heavy} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_migrate_makes_the_database_that_the_warehouse_names(postgres_url: str, monkeypatch, tmp_path, capsys) -> None:
    """`docker compose up`: its server starts with Airflow's database alone."""
    from sqlalchemy import make_url

    from closingbell.settings import settings
    from closingbell.warehouse import db

    name = f"closingbell_made_{os.getpid()}"
    server, url = db.engine(postgres_url), make_url(postgres_url).set(database=name)
    monkeypatch.setattr(record, "ROOT", tmp_path / "stack")
    monkeypatch.setenv("CLOSINGBELL_DATABASE_URL", url.render_as_string(hide_password=False))
    settings.cache_clear()
    try:
        assert command(monkeypatch, "migrate") == 0
        assert "0001_ops" in capsys.readouterr().out
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("CREATE ROLE plain LOGIN"))
        # a user who may make no database is told which one is missing
        monkeypatch.setattr(db, "warehouse_url", lambda: url.set(username="plain", database="not_there"))
        assert command(monkeypatch, "migrate") == 1
        assert 'database "not_there" does not exist' in capsys.readouterr().err
    finally:
        settings.cache_clear()
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
            connection.execute(text("DROP ROLE IF EXISTS plain"))


def test_airflow_runs_on_the_last_stack_with_its_own_arguments(monkeypatch) -> None:
    from closingbell import stack

    ran: list[Any] = []
    monkeypatch.setattr(stack, "airflow_environ", lambda: {"AIRFLOW_HOME": "/the/stacks"})
    monkeypatch.setattr(os, "execve", lambda *given: ran.append(given))
    assert command(monkeypatch, "airflow", "backfill", "create", "--dag-id", "market_close", "--help") == 0
    ((program, arguments, environment),) = ran
    assert program == sys.executable
    assert arguments[1:] == ["-m", "airflow", "backfill", "create", "--dag-id", "market_close", "--help"]
    assert environment["AIRFLOW_HOME"] == "/the/stacks"
    assert environment["PATH"] == os.environ["PATH"]


def test_news_is_scored_by_finbert_else_gemini_with_a_key_else_the_lexicon(ran, monkeypatch, tmp_path, capsys) -> None:
    from closingbell.pipelines.news_sentiment import chosen_model
    from closingbell.settings import settings

    monkeypatch.setenv("AIRFLOW_CONN_GEMINI", json.dumps({"conn_type": "gemini"}))  # half a connection
    assert chosen_model("auto") == "lexicon"
    assert command(monkeypatch, "news", "--model", "gemini") == 1
    assert "needs the connection gemini with a key" in capsys.readouterr().err
    with_key = json.dumps({"conn_type": "gemini", "password": "a key"})
    monkeypatch.setattr(loads, "joined", lambda: monkeypatch.setenv("AIRFLOW_CONN_GEMINI", with_key))  # the stack's
    assert command(monkeypatch, "news", "--model", "gemini") == 0
    assert chosen_model("auto") == chosen_model(None) == "gemini"
    monkeypatch.setenv("CLOSINGBELL_FINBERT", str(tmp_path))
    settings.cache_clear()
    try:
        assert chosen_model("auto") == "finbert"
        assert chosen_model("lexicon") == "lexicon"
    finally:
        settings.cache_clear()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "gpt"), "no model 'gpt'; there are auto, finbert, gemini, lexicon"),
        (("--model", "finbert"), "needs CLOSINGBELL_FINBERT"),
        (("--hours", "2", "--backfill", "3"), "give --hours or --backfill, not both"),
    ],
)
def test_news_refuses_what_it_cannot_do_before_it_asks_anybody(ran, monkeypatch, capsys, options, said):
    assert command(monkeypatch, "news", *options) == 1
    assert said in capsys.readouterr().err
    assert ran == []


@pytest.mark.parametrize("given", [",", " ", " , "])
def test_a_list_of_tickers_that_names_none_is_refused_and_is_not_everybody(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(stack, "up", lambda *_: started.append(_))
    for name in ("up", "demo"):
        assert command(monkeypatch, name, "--tickers", given) == 1
        assert "names no ticker: write AAPL,BRK.B" in capsys.readouterr().err
    assert started == []
