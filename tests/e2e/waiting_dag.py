"""A DAG whose tasks wait: a batch's quota is spent once, a pod step asks to wait once, a partition is busy twice.

`python waiting_dag.py` runs it on AIRFLOW_HOME's database; the last line is JSON: task instances, and each execution.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, get_current_context

from closingbell.orchestration import groups, pod_operator, waiting
from closingbell.orchestration.defaults import DEFAULT_ARGS
from closingbell.orchestration.partitions import PartitionBusy
from closingbell.warehouse.quota import QuotaExhausted

waiting.JITTER_SECONDS, waiting.BUSY = 1.0, timedelta(0)
pod_operator._waits = lambda command: waiting.StepWaits("exit code 75", datetime.now(UTC))

SEEN = Path("seen")
STEP = """
import json, os, pathlib, sys
part = json.loads(os.environ["CLOSINGBELL_PART"])
once = pathlib.Path(f"step {part['number']}")
if part["number"] == 1 and not once.exists():
    once.touch()
    sys.exit(75)
"""


def seen(name: str) -> int:
    with SEEN.open("a") as file:
        file.write(f"{name} {get_current_context()['ti'].try_number}\n")
    return SEEN.read_text().split().count(name)


def land(load_name: str, part: dict) -> dict:
    if seen(part["batch"]["key"]) == 1 and part["number"] == 2:
        raise QuotaExhausted("tiingo", "default", 1000, 1000, datetime.now(UTC))
    return part


def audit(landed: list[dict]) -> list[str]:
    if seen("audit") <= 2:
        raise PartitionBusy("stock_prices 2025-12-05 is written by another run")
    return [part["batch"]["key"] for part in landed]


with DAG("waits", default_args=DEFAULT_ARGS, schedule=None) as dag:
    parts = [{"number": number, "of": 2, "batch": {"key": f"batch{number}"}} for number in (1, 2)]
    task = waiting.waiting_task(task_id="land", map_index_template=groups.BATCH_NAME)(land)
    landed = task.partial(load_name="prices").expand(part=parts)
    staged = pod_operator.PipelinePodOperator.partial(
        task_id="stage",
        command=[sys.executable, "-c"],
        arguments=[STEP],
        cpu=1,
        memory="1Gi",
        map_index_template=groups.POD_NAME,
    ).expand(part=landed)
    staged >> waiting.waiting_task(task_id="audit")(audit)(landed)

if __name__ == "__main__":
    run = dag.test()
    found = [
        [ti.task_id, ti.map_index, ti.rendered_map_index, str(ti.state), ti.try_number]
        for ti in run.get_task_instances()
    ]
    print("\n" + json.dumps([sorted(found), sorted(SEEN.read_text().splitlines())]))
