"""Scores for 4,600 stocks, read to published, on a warehouse of this benchmark's own; limits are the baselines.

Each company has statements of seven years (a Q and a TTM row a quarter, an FY row a year, one in ten restated); the
reads, the engine, stage, audit and publish run in a process of their own, whose peak memory is measured.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from psycopg2 import sql
from sqlalchemy import Engine

from closingbell import sessions
from closingbell.warehouse import db

SESSION = date(2024, 3, 4)
SECTORS = ["Energy", "Materials", "Industrials", "Health Care", "Financials", "Utilities", "Real Estate", None]
SECONDS, GIB, YEAR_MINUTES = 15.0, 2.0, 40.0
STEPPED = 21
SPLITS_KNOWN = """
WITH asked AS (
    INSERT INTO ops.landings (vendor, endpoint, key, request, path, sha256, bytes, answered_at)
    VALUES ('polygon', 'splits', 'all', '{"params": {"execution_date.gte": "2015-01-02"}}', '', '', 0, now())
    RETURNING landing_id
)
INSERT INTO ops.published_landings (table_name, landing_id) SELECT 'corporate_actions', landing_id FROM asked"""


def measure(companies: int = 4600) -> list[dict[str, Any]]:
    """Rows {name, value, baseline, ratio, budget, holds}: seconds and peak memory of a session, minutes of a year."""
    from closingbell import postgres

    folder = Path(tempfile.mkdtemp(prefix="closingbell-bench-"))
    try:
        url = postgres.start(folder / "pg")
        db.migrate(url)
        fill(db.engine(url), companies)
        runs = [_run(url, 1), _run(url, STEPPED)]
    finally:
        postgres.stop(folder / "pg")
        shutil.rmtree(folder, ignore_errors=True)
    one, several = runs
    year = (several["seconds"] - one["seconds"]) / (STEPPED - 1) * 252 / 60
    what = f"scores of {companies:,} stocks"
    return [
        _row(f"{what}, read to published, seconds", one["seconds"], SECONDS),
        _row(f"{what}, peak memory, GiB", max(run["gib"] for run in runs), GIB),
        _row(f"{what}, a year of sessions (twenty more of them, scaled), minutes", year, YEAR_MINUTES),
    ]


def _row(name: str, value: float, limit: float) -> dict[str, Any]:
    return {
        "name": name, "value": round(value, 3), "baseline": limit, "ratio": round(value / limit, 3),
        "budget": f"<= {limit:g}", "holds": value <= limit,
    }  # fmt: skip


def _run(url: str, count: int) -> dict[str, float]:
    code = f"from tests.benchmarks.scores import timed; timed({count})"
    done = subprocess.run(
        [sys.executable, "-c", code], input=url, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise RuntimeError(f"the scoring process failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def timed(count: int) -> None:
    """In a process of its own: score `count` sessions of the warehouse named on stdin; one JSON line of figures."""
    from closingbell.pipelines import LOADS, base

    os.environ["CLOSINGBELL_DATABASE_URL"] = sys.stdin.read()
    days = [day.isoformat() for day in sessions.last_sessions(SESSION, count)]
    started = time.perf_counter()
    run = base.open_run("bench", f"bench-{count}", days[-1], {"sessions": days})
    counts = base.run_load(LOADS["scores"], run)
    figures = {
        "seconds": time.perf_counter() - started,
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if counts["ic_scores"]["inserted"] == 0:
        raise AssertionError(f"nothing was scored: {counts}")
    print(json.dumps(figures))


def fill(engine: Engine, companies: int) -> None:
    """Rows of every table that scoring reads, from a fixed seed."""
    rng = np.random.default_rng(7)
    ids = np.arange(1, companies + 1)
    base = pl.DataFrame({"cik": ids, "security_id": ids * 1000 + 1})
    sector = pl.Series("sector", [SECTORS[i % len(SECTORS)] for i in ids])
    _copy(engine, "companies", base.select(
        "cik", sector, valid_from=pl.lit(date(2020, 1, 1)), name=pl.format("Company {}", "cik"),
    ))  # fmt: skip
    _copy(engine, "securities", base.select(
        "security_id", "cik", name=pl.format("Company {} common", "cik"), type=pl.lit("CS"),
        first_session=pl.lit(date(2015, 1, 2)),
    ))  # fmt: skip
    bars = base.join(pl.DataFrame({"session": sessions.last_sessions(SESSION, STEPPED)}), how="cross")

    def some(low: float = -0.3, high: float = 1.0, rows: int = bars.height) -> pl.Series:
        values = np.round(rng.uniform(low, high, rows), 6)
        return pl.Series(np.where(rng.random(rows) < 0.05, np.nan, values)).fill_nan(None)

    price = pl.lit(10.0)
    _copy(engine, "stock_prices", bars.select(
        "security_id", "session", open=price, high=price, low=price, close=price, volume=price,
        source=pl.lit("polygon"), final=pl.lit(True),
    ))  # fmt: skip
    _copy(engine, "technical_indicators", bars.select(
        "security_id", "session", close=price, rsi_14=some(10, 90), macd_histogram=some(), sma_50=some(5, 15),
        adx_14=some(5, 60), return_1m=some(), return_3m=some(), return_6m=some(), return_12m=some(), bars=pl.lit(400),
    ))  # fmt: skip
    _copy(engine, "valuation_ratios", bars.select(
        "security_id", "session", close=price, earnings_yield=some(), book_yield=some(), sales_yield=some(),
        market_cap=pl.lit(1e9), statement_period_end=pl.lit(date(2023, 12, 31)),
    ))  # fmt: skip
    counts = {f"{name}_{n}d": pl.lit(1) for n in (30, 90) for name in ("buys", "sells", "buyers", "sellers")}
    known_at = pl.col("session").cast(pl.Datetime("us", "UTC")) + pl.duration(hours=20)
    few = bars.filter(pl.col("cik") % 3 == 0)
    _copy(engine, "analyst_consensus", bars.select(
        "security_id", "session", firms=pl.lit(5), rating_mean=some(1, 5).fill_null(3), strong_buys=pl.lit(0),
        buys=pl.lit(5), holds=pl.lit(0), sells=pl.lit(0), strong_sells=pl.lit(0), targets=pl.lit(5),
        target_mean=some(5, 20), last_rated_at=known_at, ratings_from=pl.lit(date(2023, 1, 3)),
    ))  # fmt: skip
    _copy(engine, "insider_activity", few.select(
        "security_id", "session", known_at=known_at, net_value_30d=some(-1e6, 1e6, few.height), unpriced_30d=pl.lit(0),
        net_value_90d=some(-1e6, 1e6, few.height), unpriced_90d=pl.lit(0), filings_from=pl.lit(date(2023, 11, 1)),
        **counts,
    ))  # fmt: skip
    _copy(engine, "sentiment_daily", bars.select(
        "security_id", "session", sentiment_7d=some(-1, 1), sentiment_30d=some(-1, 1), articles_7d=pl.lit(3),
        articles_30d=pl.lit(9), last_published_at=known_at, hours_since=pl.lit(1.0), by_source=pl.lit("{}"),
        known_at=known_at,
    ))  # fmt: skip
    changes = base.join(
        pl.DataFrame({"session": pl.date_range(date(2024, 1, 16), SESSION, "3d", eager=True)}), how="cross"
    )
    _copy(engine, "institutional_ownership", changes.select(
        "security_id", "session", quarter=pl.lit(date(2023, 12, 31)), holders=pl.lit(90), shares=pl.lit(1e6),
        known_at=pl.col("session").cast(pl.Datetime("us", "UTC")), market_value=pl.lit(1e7), put_shares=pl.lit(0.0),
        call_shares=pl.lit(0.0), filers=pl.lit(4000), share_owned=some(0.1, 0.9, changes.height),
        compared_shares=some(1, 9, changes.height), shares_before=some(1, 9, changes.height),
    ))  # fmt: skip
    quarters = pl.DataFrame(
        {"period_end": pl.date_range(date(2017, 3, 31), date(2023, 12, 31), "1q", eager=True).dt.month_end()}
    )
    kinds = pl.DataFrame({"period_type": ["Q", "TTM", "FY"], "days": [30, 30, 30]})
    statements = base.select("cik").join(quarters, how="cross").join(kinds, how="cross")
    statements = statements.filter((pl.col("period_type") != "FY") | (pl.col("period_end").dt.month() == 12))
    restated = statements.filter(pl.col("cik") % 10 == 0).with_columns(days=pl.lit(400))
    statements = pl.concat([statements, restated], how="vertical_relaxed").with_columns(
        known_on=pl.col("period_end") + pl.duration(days=pl.col("days"))
    )
    number = statements.height
    _copy(engine, "financials", statements.select(
        "cik", "period_end", "period_type", "known_on", currency=pl.lit("USD"), eps_filed_on="known_on",
        known_at=pl.col("known_on").cast(pl.Datetime("us", "UTC")) + pl.duration(hours=20),
        accession_no=pl.lit("0000000000-24-000001"), source_accession_nos=pl.lit("{}"),
        **{name: some(-0.3, 3.0, number) for name in (
            "revenue", "eps_diluted", "free_cash_flow", "shareholders_equity", "gross_margin", "operating_margin",
            "net_margin", "roe", "roa", "debt_to_equity", "interest_coverage",
        )},
        current_ratio=some(0.1, 4.0, number),
    ))  # fmt: skip
    of_year = pl.when(pl.col("period_end").dt.month() == 12).then(pl.lit("10-K")).otherwise(pl.lit("10-Q"))
    reports = pl.concat(quarters.with_columns(form=form) for form in (of_year, pl.lit("8-K")))
    filed = base.select("cik").join(reports, how="cross")
    _copy(engine, "filings", filed.select(
        "cik", "form", accession_no=pl.format("{}-{}", "period_end", "form"), filed_on="period_end",
        known_at=pl.col("period_end").cast(pl.Datetime("us", "UTC")), known_at_source=pl.lit("acceptance_utc"),
    ))  # fmt: skip
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(SPLITS_KNOWN)
        connection.exec_driver_sql("ANALYZE")


def _copy(engine: Engine, table: str, frame: pl.DataFrame) -> None:
    frame = frame.with_columns(fetched_at=pl.lit("2024-03-05T00:00:00Z"))
    columns = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    statement = sql.SQL("COPY closingbell.{} ({}) FROM STDIN (FORMAT csv)").format(sql.Identifier(table), columns)
    with engine.begin() as connection, db.cursor_of(connection) as cursor, tempfile.TemporaryFile() as csv:
        frame.write_csv(csv, include_header=False)
        csv.seek(0)
        cursor.copy_expert(statement, csv)
