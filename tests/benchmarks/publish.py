"""One million bars through stage, audit and publish, against a bare COPY and against pandas.to_sql.

Both baselines write the same rows into a table of the same columns and keys, in the same run. to_sql is tried as it
comes and with its multi-row inserts on a twentieth of the rows, and the faster one is measured. Imports are excluded.
Run: python -m tests.benchmarks.publish
"""

from __future__ import annotations

import io
import logging
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from sqlalchemy import Engine, text

ROWS = 1_000_000
SECURITIES = 4_000
TO_SQL_TRIED = 20
BATCHES = 10
WORKERS = 2  # mapped tasks stage batches side by side

log = logging.getLogger(__name__)
_WAL = text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")


def measure() -> list[dict[str, Any]]:
    """The budgets of ARCHITECTURE's first line: rows a second of ours against both baselines."""
    import great_expectations  # noqa: F401
    import pandas  # noqa: F401

    from closingbell import postgres
    from closingbell.warehouse import db

    with tempfile.TemporaryDirectory(prefix="closingbell-bench-", ignore_cleanup_errors=True) as folder:
        server = Path(folder) / "pg"
        try:
            url = postgres.start(server, "closingbell")
            db.create_database(url)
            db.migrate(url)
            engine = db.engine(url)
            bars = _bars()
            copy = min(_timed(_bare_copy, engine, bars) for _ in range(3))
            runs = [_publish(engine, bars.with_columns(landing_id=landing), f"run {landing}") for landing in (2, 1)]
            again = _publish(engine, bars, "again", empty=False)
            ours, wal = min(seconds for seconds, _ in runs), runs[-1][1]
            few = bars.head(ROWS // TO_SQL_TRIED)
            methods: dict[float, Literal["multi"] | None] = {
                _timed(_to_sql, engine, few, "multi"): "multi",
                _timed(_to_sql, engine, few, None): None,
            }
            to_sql = _timed(_to_sql, engine, bars, methods[min(methods)])
        finally:
            postgres.stop(server)
    return [
        {
            "name": "identical republish of 1M bars, MB of WAL against the first",
            "value": round(again[1] / 1e6, 3),
            "baseline": round(wal / 1e6, 1),
            "ratio": round(again[1] / wal, 4),
            "budget": "<= 0.01",
            "holds": again[1] <= 0.01 * wal,
        },
        _line("publish 1M bars against bare COPY, rows a second", ROWS / ours, ROWS / copy, 0.3),
        _line("publish 1M bars against pandas.to_sql, rows a second", ROWS / ours, ROWS / to_sql, 10),
    ]


def _line(name: str, value: float, baseline: float, budget: float) -> dict[str, Any]:
    ratio = value / baseline
    return {
        "name": name, "value": round(value), "baseline": round(baseline), "ratio": round(ratio, 3),
        "budget": f">= {budget:g}",
        "holds": ratio >= budget,
    }  # fmt: skip


def _timed(step: Callable[..., None], engine: Engine, *given: Any) -> float:
    _settle(engine)
    start = time.perf_counter()
    step(engine, *given)
    seconds = time.perf_counter() - start
    _settle(engine, "DROP TABLE baseline")  # autovacuum would read it, and write WAL for it, while ours is measured
    return seconds


def _settle(engine: Engine, *then: str) -> None:
    """As a server is that has been up for long: its dirty pages written, segments of WAL there to be used again."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in ("CHECKPOINT", *then):
            connection.execute(text(statement))


def _bars() -> pl.DataFrame:
    sessions = ROWS // SECURITIES
    random = np.random.default_rng(7)
    close = 50 * np.exp(random.normal(0, 0.01, (SECURITIES, sessions)).cumsum(axis=1)).ravel().round(4)
    days = pl.date_range(date(2020, 1, 1), date(2025, 12, 5), eager=True)
    weekdays = days.filter(days.dt.weekday() < 6).head(sessions)
    return pl.DataFrame(
        {
            "security_id": np.repeat(np.arange(1, SECURITIES + 1) * 1000 + 1, sessions),
            "session": pl.concat([weekdays] * SECURITIES),
            "open": close, "high": (close * 1.01).round(4), "low": (close * 0.99).round(4), "close": close,
            "volume": random.integers(1_000, 10_000_000, ROWS).astype(float), "vwap": close,
            "trades": random.integers(10, 100_000, ROWS), "source": pl.repeat("polygon", ROWS, eager=True),
        }
    ).with_columns(
        pl.lit(True).alias("final"),
        pl.lit(None, pl.Date).alias("adjusted_as_of"),
        pl.lit(1, pl.Int64).alias("landing_id"),
        pl.lit(datetime(2025, 12, 6, tzinfo=UTC), pl.Datetime("us", "UTC")).alias("fetched_at"),
    ).sort("session", "security_id")  # as vendors send them: a session at a time  # fmt: skip


def _bare_copy(engine: Engine, bars: pl.DataFrame) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE baseline (LIKE closingbell.stock_prices INCLUDING ALL)"))
    with engine.begin() as connection:
        cursor = connection.connection.cursor()
        for part in bars.iter_slices(200_000):
            content = io.BytesIO(part.write_csv(include_header=False).encode())
            cursor.copy_expert(f"COPY baseline ({', '.join(bars.columns)}) FROM STDIN (FORMAT csv)", content)


def _publish(engine: Engine, bars: pl.DataFrame, run_id: str, *, empty: bool = True) -> tuple[float, int]:
    """Seconds and bytes of WAL of one publication, into an empty table or onto the same rows."""
    from closingbell.warehouse import load

    # what autovacuum does between two runs (marks rows as committed, counts them) belongs to neither
    _settle(engine, f"{'TRUNCATE' if empty else 'VACUUM ANALYZE'} closingbell.stock_prices")
    with engine.connect() as connection:
        before = connection.scalar(_WAL)
    start = time.perf_counter()
    stage_id = load.open_stage(
        engine,
        dag_id="bench",
        run_id=run_id,
        table="stock_prices",
        partition_key="bench",
        expected={
            "sessions": [day.isoformat() for day in bars["session"].unique().sort()],
            "securities": bars["security_id"].unique().sort().to_list(),
        },
    )

    def stage(number: int) -> None:
        part = bars.slice(number * ROWS // BATCHES, ROWS // BATCHES)
        landing_ids = part["landing_id"].unique().to_list()
        load.stage_batch(engine, stage_id, f"b{number}", part, inputs_sha256=str(number), landing_ids=landing_ids)

    with ThreadPoolExecutor(WORKERS) as workers:
        list(workers.map(stage, range(BATCHES)))
    staged = time.perf_counter()
    load.audit(engine, stage_id)
    audited = time.perf_counter()
    published = load.publish(engine, stage_id)
    ended = time.perf_counter()
    with engine.connect() as connection:
        wal = int(connection.scalar(_WAL) - before)
    if (published.rows_inserted, published.rows_unchanged) != ((ROWS, 0) if empty else (0, ROWS)):
        raise AssertionError(f"published {published.rows_inserted} of {ROWS} bars, {published.rows_changed} changed")
    log.info(
        "%s: stage %.1f s, audit %.1f s, publish %.1f s, WAL %.1f MB",
        run_id, staged - start, audited - staged, ended - audited, wal / 1e6,
    )  # fmt: skip
    return ended - start, wal


def _to_sql(engine: Engine, bars: pl.DataFrame, method: Literal["multi"] | None) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE baseline (LIKE closingbell.stock_prices INCLUDING ALL)"))
    frame = bars.to_pandas(use_pyarrow_extension_array=False)
    frame.to_sql("baseline", engine, if_exists="append", index=False, method=method, chunksize=1_000)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    started = datetime.now(UTC)
    for line in measure():
        print(line)
    print(f"in {(datetime.now(UTC) - started) / timedelta(seconds=1):.0f} s")
