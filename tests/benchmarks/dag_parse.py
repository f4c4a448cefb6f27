"""How long the slowest DAG file takes to parse, beyond `import airflow.sdk`: budget 0.3 s.

Each file is parsed in a process of its own, as the DAG processor does, three times; the best counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from closingbell.settings import REPOSITORY

BUDGET_SECONDS = 0.3
PROGRAM = (
    "import sys, time, runpy\n"
    "from airflow.sdk import DAG, task\n"
    "started = time.perf_counter()\n"
    "runpy.run_path(sys.argv[1])\n"
    "print(time.perf_counter() - started)\n"
)


def measure() -> list[dict[str, Any]]:
    """One row: the slowest file's seconds against the limit."""
    seconds = {
        path.name: min(_parse(str(path)) for _ in range(3)) for path in sorted((REPOSITORY / "dags").glob("*.py"))
    }
    slowest = max(seconds, key=seconds.__getitem__)
    value = seconds[slowest]
    return [
        {
            "name": f"parse of {slowest} beyond airflow.sdk, seconds",
            "value": round(value, 3),
            "baseline": BUDGET_SECONDS,
            "ratio": round(value / BUDGET_SECONDS, 3),
            "budget": f"<= {BUDGET_SECONDS:g}",
            "holds": value <= BUDGET_SECONDS,
        }
    ]


def _parse(path: str) -> float:
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, path], env=environment, capture_output=True, text=True, check=True
        )
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
