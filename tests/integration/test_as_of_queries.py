"""What a session knows of tickers, sectors, bars and actions, by the queries in sql/queries."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl
import pytest
from sqlalchemy import Engine, text

from closingbell.prices.indicators import WINDOW, technical_indicators
from closingbell.sessions import close_of, last_sessions, sessions_between
from closingbell.warehouse import db

DAYS = sessions_between(date(2022, 1, 3), date(2024, 6, 28))
NOW = datetime.fromisoformat("2024-07-01T12:00:00+00:00")


@pytest.fixture
def warehouse(database: Engine) -> Engine:
    with database.begin() as connection:

        def put(table: str, rows: list[dict]) -> None:
            names = list(rows[0])
            marks = ", ".join(f":{name}" for name in (*names, "fetched_at"))
            statement = f"INSERT INTO closingbell.{table} ({', '.join(names)}, fetched_at) VALUES ({marks})"
            connection.execute(text(statement), [{**row, "fetched_at": NOW} for row in rows])

        put(
            "companies",
            [
                {"cik": 1, "valid_from": date(2023, 1, 2), "name": "A", "sector": "Energy"},
                {"cik": 1, "valid_from": date(2024, 1, 2), "name": "A", "sector": "Utilities"},
            ],
        )
        put(
            "securities",
            [
                {
                    "security_id": 1001,
                    "cik": 1,
                    "name": "A",
                    "type": "CS",
                    "first_session": DAYS[0],
                    "last_session": None,
                },
                {
                    "security_id": 2001,
                    "cik": 2,
                    "name": "B",
                    "type": "CS",
                    "first_session": DAYS[0],
                    "last_session": DAYS[9],
                },
                {
                    "security_id": 3001,
                    "cik": 3,
                    "name": "C",
                    "type": "ETF",
                    "first_session": None,
                    "last_session": None,
                },
            ],
        )
        put(
            "ticker_history",
            [
                {"ticker": "T", "valid_from": DAYS[0], "valid_to": DAYS[9], "security_id": 2001},
                {"ticker": "T", "valid_from": DAYS[20], "valid_to": None, "security_id": 1001},
                {"ticker": "V", "valid_from": DAYS[5], "valid_to": DAYS[4], "security_id": 1001},
            ],
        )
        bars = [
            {
                "security_id": security_id, "session": day, "open": 10, "high": 11 + number % 7, "low": 9,
                "close": 10 + number % 5, "volume": 1000 + number, "source": "polygon", "final": True,
            }
            for security_id, step in ((1001, 1), (2001, 3))
            for number, day in enumerate(DAYS[::step])
            if day != DAYS[-2]
        ]  # fmt: skip
        put("stock_prices", bars)
        put(
            "corporate_actions",
            [
                {
                    "security_id": 1001, "ex_date": date(2024, 7, 10), "kind": "split", "numerator": 2,
                    "denominator": 1, "known_at": close_of(date(2024, 6, 20)), "source": "polygon",
                }
            ],
        )  # fmt: skip
    return database


def test_missing_sessions_are_those_of_scored_securities_while_listed(warehouse):
    rows = db.query(warehouse, "missing_sessions", sessions=[DAYS[3], DAYS[4], DAYS[13], DAYS[-2]])
    # 2001 traded every third session and was delisted on the tenth; the ETF is not scored
    assert rows["session"].to_list() == [DAYS[4], DAYS[-2]]


def windows(warehouse, first, last):
    return db.query(warehouse, "last_bars", first=last_sessions(first, WINDOW)[0], last=last)


def test_windows_hold_the_last_bars_and_daily_and_backfill_rows_are_equal(warehouse):
    last = DAYS[-1]
    daily = windows(warehouse, last, last)
    assert dict(daily.group_by("security_id").len().rows())[1001] == WINDOW - 1  # one session is missing
    sessions = [DAYS[-7], DAYS[-4], last]
    several = db.query(warehouse, "last_bars", first=DAYS[0], last=last)  # older bars are stored
    splits = db.query(warehouse, "price_splits", last=last)
    backfill = technical_indicators(several, splits, sessions=sessions)
    for session in sessions:
        window = windows(warehouse, session, session)
        rows = technical_indicators(window, splits, sessions=[session])
        assert rows.equals(backfill.filter(pl.col("session") == session), null_equal=True)
    closes = db.query(warehouse, "closes_on", session=last)
    assert closes["security_id"].to_list() == backfill.filter(pl.col("session") == last)["security_id"].to_list()
