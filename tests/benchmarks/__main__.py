"""`make bench`: run every benchmark of this folder, print a table, write build/bench.json.

Each module's `measure()` returns dicts of name, value, baseline, ratio, budget, holds: value and baseline were measured
in the same run (for a limit the baseline is the limit). Modules run one after the other, each in a process of its own,
so that no import or cache of one is another's head start. Names given as arguments choose modules.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from closingbell.settings import REPOSITORY

FIELDS = ("name", "value", "baseline", "ratio", "budget", "holds")
RESULT = REPOSITORY / "build/bench.json"
_TOTAL_SECONDS = 48 * 60  # of the budget of 50 minutes
_END_SECONDS = 60
_ONE = """
import importlib, json, sys
found = importlib.import_module(sys.argv[1]).measure()
print(json.dumps(list(found)), file=open(sys.argv[2], "w"))
"""


def main() -> int:
    """0 where every budget holds, 1 where one does not or a benchmark failed."""
    folder = Path(__file__).parent
    wanted = sys.argv[1:] or sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    began = time.monotonic()
    for name in (progress := tqdm(wanted, unit="benchmark")):
        progress.set_description(name)
        try:
            rows += measured(name, _TOTAL_SECONDS - (time.monotonic() - began))
        except ValueError as error:
            failed.append(f"{name}: {error}")
        write(rows)
    print(table(rows))
    print(f"\n{len(rows)} measured in {(time.monotonic() - began) / 60:.0f} minutes; {RESULT.relative_to(REPOSITORY)}")
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    return 1 if failed or not all(row["holds"] for row in rows) else 0


def measured(name: str, seconds: float) -> list[dict[str, Any]]:
    """What one module measures; raises ValueError with its last line where it fails."""
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    answer = RESULT.with_name(f"bench-{name}.json")
    command = [sys.executable, "-c", _ONE, f"tests.benchmarks.{name}", str(answer)]
    running = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    try:
        _, said = running.communicate(timeout=max(seconds, 1))
    except subprocess.TimeoutExpired:
        raise ValueError(f"stopped: all benchmarks together have {_TOTAL_SECONDS // 60} minutes") from None
    finally:
        _end(running)
    if running.returncode != 0:
        lines = said.strip().splitlines()
        raise ValueError(lines[-1] if lines else f"exit code {running.returncode}")
    rows = json.loads(answer.read_text())
    answer.unlink()
    if not rows:
        raise ValueError("nothing was measured")
    for row in rows:
        if set(row) != set(FIELDS):
            raise ValueError(f"measure() gave {sorted(row)} in place of {sorted(FIELDS)}")
    return rows


def _end(running: subprocess.Popen[str]) -> None:
    """Interrupt a benchmark that still runs, so that it ends its own server and sandbox; then kill it."""
    if running.poll() is None:
        running.send_signal(signal.SIGINT)
        try:
            running.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()


def write(rows: list[dict[str, Any]]) -> None:
    """Write what is measured so far: a run that is ended early leaves its results."""
    RESULT.write_text(json.dumps(rows, indent=2) + "\n")


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for a terminal."""
    lines = [f"{'':<62} {'value':>12} {'baseline':>12} {'ratio':>8}  budget"]
    for row in rows:
        numbers = f"{_number(row['value']):>12} {_number(row['baseline']):>12} {_number(row['ratio']):>8}"
        lines.append(f"{row['name'][:62]:<62} {numbers}  {row['budget']} {'holds' if row['holds'] else 'BROKEN'}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
