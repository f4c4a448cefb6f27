"""What every DAG of this deployment must be: importable, owned, documented, tagged, light to parse, and stable."""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
import subprocess
import sys

import pytest

from closingbell.settings import REPOSITORY

DAGS = REPOSITORY / "dags"
FILES = sorted(DAGS.glob("*.py"))
IDS = {
    "universe": "0 12 * * SAT",
    "sec_financials": "0 2 * * SUN",
    "market_close": "XNYS close + 120 min",
    "scores_and_recommendations": "Partitioned Asset",
    "reconcile": "0 7 * * *",
    "news_sentiment": "Every 4 h, XNYS close + 15 min",
    "insider_trades": "XNYS hourly, 22:30 New York",
    "institutional_holdings": "0 6 * * TUE-SAT",
    "analyst_ratings": "0 8 * * MON-FRI",
    "housekeeping": "0 10 * * *",
}
HEAVY = (
    "kubernetes", "airflow.providers.cncf.kubernetes.operators",
    "polars", "pandas", "great_expectations", "exchange_calendars", "talib",
    "torch", "botocore", "closingbell.pipelines", "closingbell.warehouse",
)  # fmt: skip


@pytest.fixture(scope="module")
def dagbag(tmp_path_factory):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS))


@pytest.fixture(scope="module")
def dags(dagbag):
    assert dagbag.import_errors == {}
    return dagbag.dags


def test_every_file_imports_and_the_dags_are_these(dagbag):
    assert dagbag.import_errors == {}
    assert set(dagbag.dags) == set(IDS)


@pytest.mark.parametrize("dag_id", IDS)
def test_schedule(dags, dag_id):
    from airflow.serialization.serialized_objects import DagSerialization

    assert DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id])).timetable.summary == IDS[dag_id]


@pytest.mark.parametrize("dag_id", IDS)
def test_owner_tags_and_limits(dags, dag_id):
    from closingbell.orchestration.defaults import Tag

    dag = dags[dag_id]
    assert dag.owner == "closing-bell"
    assert {task.owner for task in dag.tasks} == {"closing-bell"}
    assert dag.tags, "a DAG without tags is not found by its tag"
    assert dag.tags <= {tag.value for tag in Tag}
    assert dag.max_active_runs == 1, "two runs could write one partition"
    assert dag.catchup is False
    assert dag.has_on_failure_callback or dag.on_failure_callback
    assert all(task.execution_timeout for task in dag.tasks)
    assert not any(task.depends_on_past for task in dag.tasks)


def test_every_pool_has_tasks_and_every_task_its_pool(dags):
    from typing import get_args

    from closingbell.settings import Settings
    from closingbell.stack.airflow_settings import settings_file

    vendors = set(get_args(Settings.model_fields["price_vendor"].annotation))
    used = {task.pool for dag in dags.values() for task in dag.tasks} - {"default_pool"}
    assert {pool["pool_name"] for pool in settings_file()["pools"]} == used | vendors


def test_a_dry_run_of_housekeeping_promises_to_count(dags):
    field = dags["housekeeping"].params.get_param("dry_run")
    assert field.description == "Removes nothing: only counts what a run would."


@pytest.mark.parametrize("dag_id", IDS)
def test_docs_say_what_to_do_at_three_in_the_morning(dags, dag_id):
    docs = dags[dag_id].doc_md
    assert f"### {dag_id}:" in docs
    assert "Owner: closing-bell" in docs
    assert "**When it fails**" in docs
    assert "**Run it again" in docs
    # what the docs name in back ticks as a task exists
    tasks = {task.task_id for task in dags[dag_id].tasks}
    for name in re.findall(r"^- `([a-z_.]+)`", docs, re.MULTILINE):
        assert any(task == name or task.endswith(f".{name}") for task in tasks), name


@pytest.mark.parametrize("dag_id", IDS)
def test_params_make_a_form(dags, dag_id):
    params = dags[dag_id].params
    params.validate()
    assert "dry_run" in params
    for name in params:
        param = params.get_param(name)
        assert param.description, name
        assert param.schema["title"], name
        assert param.schema["type"], name
    assert params["dry_run"] is False, "a scheduled run takes the defaults"


@pytest.mark.parametrize("dag_id", IDS)
def test_one_style_of_name_description_and_docs(dags, dag_id):
    dag = dags[dag_id]
    assert dag.fileloc == str(DAGS / f"{dag_id}.py"), "a DAG is found in the file of its name"
    assert dag.description
    assert len(dag.description) <= 90
    assert dag.description[0].isupper()
    assert not dag.description.endswith("."), "it is a line of a list"
    heading, empty, owner, *_ = dag.doc_md.strip().splitlines()
    assert heading.startswith(f"### {dag_id}: ")
    assert empty == ""
    assert owner.startswith("Owner: closing-bell. ")
    when_it_fails = dag.doc_md.partition("**When it fails**")[2]
    if any(task.task_id.endswith(".audit") for task in dag.tasks):
        assert re.search(r"`([a-z_]+\.)?audit`", when_it_fails), "a failed audit is what wakes somebody"


@pytest.mark.parametrize("dag_id", IDS)
def test_one_style_of_params(dags, dag_id):
    params = dags[dag_id].params
    assert list(params)[-1] == "dry_run", "the last field of every form"
    for name in params:
        param = params.get_param(name)
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert param.schema["title"][0].isupper(), name
        assert param.description.endswith("."), name
        assert len(param.description) <= 130, name
        kinds = param.schema["type"]
        if isinstance(kinds, list):
            assert kinds[0] == "null", f"{name}: an empty field comes as null"
            assert param.value in (None, []), f"{name}: what may be empty is empty by default"
        if kinds == "boolean":
            assert param.value is False, f"{name}: a scheduled run takes the defaults"


def test_a_field_of_one_name_is_the_same_in_every_form(dags):
    kinds: dict[str, set[str]] = {}
    for dag in dags.values():
        for name in dag.params:
            kinds.setdefault(name, set()).add(json.dumps(dag.params.get_param(name).schema["type"]))
    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_fields_are_made_by_the_params_module(path):
    """So that a field is worded once, and a DAG file only says which it has."""
    (given,) = [
        node.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["PARAMS"]
    ]
    assert isinstance(given, ast.Dict)
    for value in given.values:
        assert isinstance(value, ast.Call), ast.unparse(value)
        assert ast.unparse(value.func).startswith("params."), ast.unparse(value)


def test_deadline_of_a_session_s_scores(dags):
    """Counted from the close. A deadline from the queueing makes clearing a task fail in Airflow 3.3.2 (HTTP 500)."""
    from datetime import timedelta

    from closingbell.orchestration.deadlines import SessionClose

    for dag_id in ("market_close", "scores_and_recommendations"):
        (alert,) = dags[dag_id].deadline
        assert alert.interval == timedelta(minutes=240)
        assert isinstance(alert.reference, SessionClose)
        assert alert.callback.path == "closingbell.orchestration.notify.session_late"


def test_deadline_is_the_close_of_the_last_session_and_history_has_none():
    from datetime import UTC, datetime

    from closingbell.orchestration.deadlines import close_of_recent

    now = datetime(2025, 11, 28, 20, 0, tzinfo=UTC)
    close = datetime(2025, 11, 28, 18, 0, tzinfo=UTC)  # 13:00 New York
    assert close_of_recent("2025-11-28", {}, now, now) == close
    assert close_of_recent("2025-11-26", {}, now, now) is None
    assert close_of_recent("2025-11-27", {}, now, now) is None
    assert close_of_recent(None, {}, now, now) == close
    assert close_of_recent(None, {"session": "2025-11-24", "last_session": "2025-11-28"}, now, now) == close
    assert close_of_recent(None, {"session": "2025-11-27"}, now, now) is None


def test_only_unmapped_last_tasks_emit_the_asset_and_the_scores_alone_listen(dags):
    """Mapped outlets lose events (apache/airflow#54659); a DAG on two partitioned assets gets stuck."""
    from airflow.sdk import PartitionedAssetTimetable

    emitters = {task.task_id for dag in dags.values() for task in dag.tasks if task.outlets}
    assert emitters == {"session_closed", "rescore"}
    for task in (dags["market_close"].get_task("session_closed"), dags["reconcile"].get_task("rescore")):
        assert not task.is_mapped
        assert not task.downstream_task_ids
    listeners = [dag for dag in dags.values() if isinstance(dag.timetable, PartitionedAssetTimetable)]
    assert [dag.dag_id for dag in listeners] == ["scores_and_recommendations"]
    assert [asset.name for asset in [listeners[0].timetable.asset_condition]] == ["session_closed"]
    assert listeners[0].is_paused_upon_creation is False


def test_a_session_is_at_most_twelve_task_instances(dags):
    """prices has two batches at most on a usual session: the session's bars, and new securities' history."""
    batches = 2
    instances = sum(batches if task.is_mapped else 1 for task in dags["market_close"].tasks)
    assert instances <= 12


def test_load_group_shows_the_load_path(dags):
    for dag_id, load in (
        ("market_close", "prices"),
        ("scores_and_recommendations", "scores"),
        ("universe", "universe"),
        ("analyst_ratings", "analyst_ratings"),
    ):
        dag = dags[dag_id]
        path = [f"{load}.{step}" for step in ("open", "land", "stage", "audit", "publish")]
        assert set(path) <= {task.task_id for task in dag.tasks}
        for first, then in itertools.pairwise(path):
            assert then in dag.get_task(first).downstream_task_ids
        assert [dag.get_task(task).is_mapped for task in path] == [False, True, True, False, False]


def test_vendors_are_asked_in_their_pools(dags):
    import yaml

    settings_file = yaml.safe_load((REPOSITORY / "airflow_settings.yaml").read_text())
    pools = {pool["pool_name"] for pool in settings_file["airflow"]["pools"]} | {"default_pool"}
    used = {task.pool for dag in dags.values() for task in dag.tasks}
    assert used <= pools, "a task in a pool that does not exist never starts"
    assert dags["sec_financials"].get_task("sec_financials.land").pool == "sec_edgar"
    assert dags["market_close"].get_task("prices.land").pool == "polygon"
    assert dags["analyst_ratings"].get_task("analyst_ratings.land").pool == "benzinga"


def test_resources_and_time_limits_are_settings(dags):
    from datetime import timedelta

    indicators = dags["market_close"].get_task("indicators")
    assert (indicators.cpu, indicators.memory, indicators.execution_timeout) == (4, "8Gi", timedelta(hours=2))
    stage = dags["sec_financials"].get_task("sec_financials.stage").partial_kwargs
    assert (stage["cpu"], stage["memory"], stage["execution_timeout"]) == (2, "4Gi", timedelta(hours=12))
    assert stage["max_active_tis_per_dagrun"] == 2, "a batch takes up to its memory limit of this machine"


def test_what_asks_a_vendor_or_writes_a_partition_can_wait(dags):
    """In the state `deferred`, for a day budget to reset or a partition to be free."""
    from closingbell.orchestration.pod_operator import PipelinePodOperator
    from closingbell.orchestration.waiting import Waits

    writing = (
        "open",
        "land",
        "stage",
        "audit",
        "publish",
        "indicators",
        "valuation_ratios",
        "vendor_complete",
        "analyst_consensus",
    )
    for dag in dags.values():
        for task in dag.tasks:
            if task.task_id.rpartition(".")[2] in writing:
                made_by = task.operator_class if task.is_mapped else type(task)
                assert issubclass(made_by, Waits | PipelinePodOperator), (dag.dag_id, task.task_id)


def test_form_of_a_session_s_dags_has_session_and_range(dags):
    for dag_id in ("market_close", "scores_and_recommendations"):
        assert {"session", "last_session", "tickers", "dry_run"} <= set(dags[dag_id].params)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_is_wiring_in_the_house_s_order(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 150
    tree = ast.parse(source)
    assert ast.get_docstring(tree)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef)]
    kinds = [type(node).__name__ for node in tree.body]
    assert kinds[-1] == "With"
    assert "Assign" in kinds[:-1], "PARAMS stand before the DAG"
    assert "now(" not in source
    assert "today(" not in source


def test_parse_imports_nothing_heavy_and_serializes_alike_again(dags, tmp_path):
    """Each heavy import in a DAG file is paid by every parse and by every task (16 no-op tasks: 25 s instead of 7 s);
    what differs between parses makes a new DAG version each time (apache/airflow#56319, #63334).
    """
    from airflow.serialization.serialized_objects import DagSerialization

    code = (
        "import json, sys\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"dags = DagBag({str(DAGS)!r}).dags\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "from airflow.serialization.serialized_objects import DagSerialization\n"
        "print(json.dumps([heavy, {k: DagSerialization.to_dict(d) for k, d in dags.items()}]))\n"
    )
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "PYTHONHASHSEED": "1",  # this process has another
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    heavy, again = json.loads(done.stdout.splitlines()[-1])
    assert heavy == []
    assert again == json.loads(json.dumps({dag_id: DagSerialization.to_dict(dag) for dag_id, dag in dags.items()}))
