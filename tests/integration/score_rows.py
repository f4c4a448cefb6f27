"""Rows of the tables that scores are made of, three sessions long, and what the scoring pipeline makes of them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
from psycopg2.extras import execute_values
from sqlalchemy import Engine, text

from closingbell.pipelines.scores import known, versions_of
from closingbell.scores import compute
from closingbell.warehouse import db

SESSIONS = [date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 4)]
CLOSES = {day: datetime(day.year, day.month, day.day, 21, tzinfo=UTC) for day in SESSIONS}
SESSION = SESSIONS[1]
CLOSE = CLOSES[SESSION]
QUARTER = date(2023, 12, 31)
AT = datetime(2024, 3, 5, tzinfo=UTC)


def insert(engine: Engine, table: str, rows: list[dict]) -> None:
    columns = list(rows[0])
    with engine.begin() as connection, db.cursor_of(connection) as cursor:
        execute_values(
            cursor,
            f"INSERT INTO closingbell.{table} ({', '.join(columns)}, fetched_at) VALUES %s",
            [(*(row[column] for column in columns), AT) for row in rows],
        )


def statement(cik: int, period_end: date, kind: str, known_at: datetime, **values) -> dict:
    return {
        "cik": cik, "period_end": period_end, "period_type": kind, "known_on": known_at.date(), "known_at": known_at,
        "currency": "USD", "accession_no": f"{cik:010}-{known_at:%y}-{kind}", "source_accession_nos": [],
        "revenue": None, "eps_diluted": None, "net_margin": None, "current_ratio": None, **values,
    }  # fmt: skip


def price(security_id: int, session: date, close: float = 10.0) -> dict:
    return {
        "security_id": security_id, "session": session, "open": close, "high": close, "low": close, "close": close,
        "volume": 1.0, "source": "polygon", "final": True,
    }  # fmt: skip


def indicator(security_id: int, session: date, number: float) -> dict:
    return {
        "security_id": security_id, "session": session, "close": 10.0, "rsi_14": 40 + number, "return_1m": number / 100,
        "bars": 400,
    }  # fmt: skip


def valuation(security_id: int, session: date, number: float) -> dict:
    return {
        "security_id": security_id, "session": session, "close": 10.0, "market_cap": 1e9, "earnings_yield": number / 50,
        "statement_period_end": date(2023, 9, 30),
    }  # fmt: skip


def consensus(security_id: int, session: date, number: float) -> dict:
    return {
        "security_id": security_id, "session": session, "firms": number, "rating_mean": 1 + number / 10,
        "strong_buys": 0, "buys": 0, "holds": number, "sells": 0, "strong_sells": 0, "targets": number,
        "target_mean": 10 + number, "target_currency": "USD", "last_rated_at": CLOSES[SESSIONS[0]] - timedelta(days=9),
        "ratings_from": session - timedelta(days=366),
    }  # fmt: skip


def activity(security_id: int, session: date, number: float) -> dict:
    return {
        "security_id": security_id, "session": session, "known_at": CLOSES[SESSIONS[0]] - timedelta(days=9),
        "filings_from": session - timedelta(days=89),
        **{f"{name}_{days}d": 0 for days in (30, 90) for name in ("buys", "sells", "buyers", "sellers", "unpriced")},
        "net_value_30d": number * 1e4, "net_value_90d": -number * 1e4,
    }  # fmt: skip


def owned(security_id: int, session: date, number: float) -> dict:
    return {
        "security_id": security_id, "session": session, "quarter": QUARTER,
        "known_at": CLOSES[SESSIONS[0]] - timedelta(days=9), "holders": number, "shares": 100.0, "market_value": 1e3,
        "share_owned": number / 30, "put_shares": 0.0, "call_shares": 0.0, "filers": 90,
        "compared_shares": 100 + number, "shares_before": 100.0,
    }  # fmt: skip


def mood(security_id: int, session: date, number: float, known_at: datetime | None = None) -> dict:
    known_at = known_at or CLOSES[session]
    return {
        "security_id": security_id, "session": session, "sentiment_7d": number / 30, "sentiment_30d": -number / 30,
        "articles_7d": 1, "articles_30d": 1, "last_published_at": known_at, "hours_since": 0.0, "by_source": "{}",
        "known_at": known_at,
    }  # fmt: skip


def landed(engine: Engine, table: str, vendor: str, endpoint: str, key: str, **params: str) -> int:
    """An answer of the last session that a published run read for `table`; its landing_id."""
    statements = (
        "INSERT INTO ops.landings (vendor, endpoint, key, request, path, sha256, bytes, answered_at) VALUES"
        " (:vendor, :endpoint, :key, CAST(:request AS jsonb), '', '', 0, :at) RETURNING landing_id",
        "INSERT INTO ops.published_landings (table_name, landing_id) VALUES (:table, :id)",
    )
    with engine.begin() as connection:
        answer = {"vendor": vendor, "endpoint": endpoint, "key": key, "at": CLOSES[SESSIONS[-1]]}
        answer["request"] = json.dumps({"method": "GET", "params": params})
        id_ = connection.execute(text(statements[0]), answer).scalar_one()
        connection.execute(text(statements[1]), {"table": table, "id": id_})
    return id_


def scored(engine: Engine, sessions: list[date]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the pipeline does: reads, metrics, scores."""
    closes = {day: CLOSES[day] for day in sessions}
    return compute.scores(*known(engine, closes, versions_of(engine, min(sessions), max(sessions))), closes)


# -- rows as the vendors' loads leave them


def trade(security_id: int, known_at: datetime, *, owner: int = 7, **values) -> dict:
    return {
        "accession_no": f"trade {security_id} {owner}", "is_derivative": False, "row_no": 1, "form": "4",
        "issuer_cik": security_id // 1000, "security_id": security_id, "owner_ciks": [owner], "owner_names": ["Seven"],
        "is_director": True, "is_officer": False, "is_ten_percent_owner": False, "is_other": False,
        "security_title": "Common", "transaction_date": SESSIONS[0], "transaction_code": "P",
        "transaction_type": "purchase", "acquired": True, "shares": 100.0, "price_per_share": 10.0,
        "total_value": 1000.0, "shares_owned_after": 100.0, "direct": True, "filed_on": SESSION, "known_at": known_at,
        **values,
    }  # fmt: skip


def report(institution: int, known_at: datetime, quarter: date = QUARTER) -> dict:
    return {
        "accession_no": f"13F {institution} {quarter}", "form": "13F-HR", "report_type": "13F HOLDINGS REPORT",
        "institution_cik": institution, "file_number": f"028-{institution}", "quarter": quarter, "filed_on": SESSION,
        "known_at": known_at, "rows": 1, "reported_total": 9.0, "value_unit": 1.0, "unit_source": "date",
        "problems": [], "managers": "[]",
    }  # fmt: skip


def holding(
    security_id: int, institution: int, known_at: datetime, quarter: date = date(2023, 12, 31), **values
) -> dict:
    return {
        "accession_no": f"13F {institution} {quarter}", "row_no": security_id, "institution_cik": institution,
        "quarter": quarter, "filed_on": SESSION, "known_at": known_at, "cusip": f"{security_id:09}",
        "security_id": security_id, "put_call": None, "shares": 30.0, "market_value": 9.0, **values,
    }  # fmt: skip


def rating(security_id: int, known_at: datetime, **values) -> dict:
    return {
        "vendor": "benzinga", "rating_id": str(security_id), "security_id": security_id, "ticker": f"T{security_id}",
        "analyst_firm": "One", "action": "initiates", "rating": "Buy", "rating_numeric": 5, "currency": "USD",
        "rated_at": known_at, "rated_at_source": "time", "known_at": known_at, "updated_at": known_at, **values,
    }  # fmt: skip


def opinion(security_id: int, known_at: datetime) -> dict:
    return {
        "article_id": security_id, "security_id": security_id, "model": "lexicon", "model_version": "1", "score": 0.5,
        "known_at": known_at,
    }  # fmt: skip
