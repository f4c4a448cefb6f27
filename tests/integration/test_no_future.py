"""Nothing known later enters a score: rows of later in every table, then every load from them to the scores again."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from score_rows import (
    CLOSE,
    QUARTER,
    SESSION,
    SESSIONS,
    holding,
    insert,
    landed,
    opinion,
    price,
    rating,
    report,
    statement,
    trade,
)
from sqlalchemy import Engine, text

from closingbell.pipelines import LOADS, base
from closingbell.scores.factors import METRICS
from closingbell.sessions import last_sessions
from closingbell.settings import settings

NEXT = SESSIONS[2]
SHARES = [number * 1000 + 1 for number in range(1, 13)]
BEFORE, MINUTE = CLOSE - timedelta(days=20), timedelta(minutes=1)
FIGURES = {
    "revenue": 100.0, "net_income": 10.0, "eps_diluted": 1.0, "free_cash_flow": 8.0, "shareholders_equity": 50.0,
    "shares_outstanding": 100.0, "short_term_debt": 5.0, "long_term_debt": 20.0, "gross_margin": 0.4,
    "operating_margin": 0.2, "net_margin": 0.1, "roe": 0.2, "roa": 0.1, "debt_to_equity": 0.5, "current_ratio": 1.5,
    "interest_coverage": 9.0,
}  # fmt: skip
CHAIN = (
    "indicators", "valuation_ratios", "insider_activity", "institutional_ownership", "analyst_consensus",
    "sentiment_daily", "scores",
)  # fmt: skip
MADE = (
    "technical_indicators", "valuation_ratios", "insider_activity", "institutional_ownership", "analyst_consensus",
    "sentiment_daily", "ic_scores", "score_inputs",
)  # fmt: skip
"""By session; institutional_ownership where something changed."""

FUTURE: dict[str, dict[str, str]] = {
    "companies": {"valid_from": ":next", "sector": "'Utilities'"},
    # one of them a second class of a company that has one
    "securities": {
        "security_id": "security_id + 1000000", "first_session": ":next",
        "cik": "CASE WHEN cik = 2 THEN cik ELSE cik + 1000 END",
    },
    "ticker_history": {"valid_from": ":next", "security_id": "security_id + 1000000"},
    "index_members": {"valid_from": ":next"},
    "cusip_history": {"valid_from": ":next", "security_id": "security_id + 1000"},
    "class_shares": {"valid_from": ":next"},
    "filings": {
        "accession_no": "accession_no || ' later'", "form": "'20-F'", "filed_on": ":session", "known_at": ":later",
    },
    "financial_facts": {"accession_no": "accession_no || ' later'", "filed_on": ":session", "known_at": ":later"},
    # filed on the day of the session, and accepted after its close; growth needs a year that stays as it was
    "financials": {
        "accession_no": "accession_no || ' later'", "known_on": ":session", "known_at": ":later",
        "WHERE": "period_end = '2023-09-30'",
    },
    "corporate_actions": {"ex_date": ":next", "known_at": ":before"},  # announced, not yet in effect
    "stock_prices": {"session": ":next"},
    "technical_indicators": {"session": ":next"},
    "valuation_ratios": {"session": ":next"},
    # an amendment of what was known, and one who bought too
    "insider_trades": {
        "accession_no": "accession_no || ' later'", "known_at": ":later", "landing_id": ":document",
        "form": "CASE WHEN owner_ciks[1] = 21 THEN '4/A' ELSE form END", "amends_filed_on": "filed_on",
        "owner_ciks": "CASE WHEN owner_ciks[1] = 21 THEN owner_ciks ELSE CAST('{31}' AS bigint[]) END",
    },
    "insider_activity": {"session": ":next", "known_at": ":later"},
    # a restatement, and one who holds them too
    "institutional_filings": {
        "accession_no": "accession_no || ' later'", "known_at": ":later", "landing_id": ":document",
        "form": "CASE WHEN institution_cik = 41 THEN '13F-HR/A' ELSE form END", "amendment_type": "'RESTATEMENT'",
        "institution_cik": "CASE WHEN institution_cik = 41 THEN 41 ELSE 51 END", "WHERE": "quarter = '2023-12-31'",
    },
    "institutional_holdings": {
        "accession_no": "accession_no || ' later'", "known_at": ":later",
        "institution_cik": "CASE WHEN institution_cik = 41 THEN 41 ELSE 51 END", "WHERE": "quarter = '2023-12-31'",
    },
    "institutional_ownership": {"session": ":next", "known_at": ":later"},
    "analyst_ratings": {
        "rating_id": "rating_id || ' later'", "rated_at": ":later", "known_at": ":later", "updated_at": ":later",
        "analyst_firm": "'Another'", "rating": "'Sell'", "rating_numeric": "1", "landing_id": ":document",
    },
    "analyst_consensus": {"session": ":next", "last_rated_at": ":later"},
    "news_sightings": {"vendor_id": "vendor_id || ' later'", "published_at": ":later", "first_seen_at": ":later"},
    "news_members": {"vendor_id": "vendor_id || ' later'", "article_id": "article_id + 1000000"},
    "news_articles": {"article_id": "article_id + 1000000", "published_at": ":later", "told_at": ":later"},
    "news_sentiment": {"article_id": "article_id + 1000000", "known_at": ":later", "score": "- score"},
    "sentiment_daily": {"session": ":next", "known_at": ":later"},
    "ic_scores": {"session": ":next", "overall_score": "1"},
    "score_inputs": {"session": ":next"},
}  # fmt: skip
"""Of each table the columns that a row of later has instead, in SQL; every other number is three times as large."""


@pytest.fixture
def market(database: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Twelve companies that have every metric, as the vendors' loads leave them twenty days before the close."""
    monkeypatch.setenv("CLOSINGBELL_MARKET_ENDS_ON", NEXT.isoformat())
    settings.cache_clear()
    ids = [(id_, id_ // 1000) for id_ in SHARES]
    long_ago = date(2018, 1, 2)
    insert(database, "companies", [
        {"cik": cik, "valid_from": long_ago, "name": "One", "sector": "Energy"} for _, cik in ids
    ])  # fmt: skip
    insert(database, "securities", [
        {"security_id": id_, "cik": cik, "name": "One", "type": "CS", "first_session": long_ago} for id_, cik in ids
    ])  # fmt: skip
    insert(database, "ticker_history", [
        {"ticker": f"T{id_}", "valid_from": long_ago, "security_id": id_} for id_ in SHARES
    ])  # fmt: skip
    insert(database, "index_members", [
        {"index_name": "sp500", "security_id": id_, "valid_from": long_ago} for id_ in SHARES
    ])  # fmt: skip
    insert(database, "cusip_history", [
        {"cusip": f"{id_:09}", "valid_from": long_ago, "ticker": f"T{id_}", "security_id": id_} for id_ in SHARES
    ])  # fmt: skip
    insert(database, "class_shares", [{"security_id": id_, "valid_from": long_ago, "shares": 90.0} for id_ in SHARES])
    filed = {"accession_no": "one", "filed_on": BEFORE.date(), "known_at": BEFORE, "form": "10-K"}
    insert(database, "filings", [filed | {"cik": cik, "known_at_source": "acceptance_utc"} for _, cik in ids])
    fact = {"taxonomy": "us-gaap", "concept": "Revenues", "unit": "USD", "period_end": date(2023, 9, 30), "value": 1.0}
    insert(database, "financial_facts", [filed | fact | {"cik": cik} for _, cik in ids])
    grown = ("revenue", "eps_diluted", "free_cash_flow")
    ends = [date(2018 + n // 4, 3 * (n % 4) + 3, 30) for n in range(23)]  # to 2023-09-30
    insert(database, "financials", [
        statement(cik, end, kind, datetime(end.year, end.month, end.day, 12, tzinfo=UTC) + timedelta(days=40),
                  **FIGURES | {name: 50.0 + n * cik for name in grown})
        for _, cik in ids for n, end in enumerate(ends) for kind in ("Q", "TTM")
    ])  # fmt: skip
    insert(database, "corporate_actions", [
        {"security_id": id_, "ex_date": date(2023, 6, 1), "kind": "split", "numerator": 2.0, "denominator": 1.0,
         "known_at": BEFORE, "source": "polygon"} for id_ in SHARES
    ])  # fmt: skip
    landed(database, "corporate_actions", "polygon", "splits", "all", **{"execution_date.gte": "2015-01-02"})
    days = last_sessions(SESSION, 260)
    closes = {(id_, n): 20 + cik / 10 + 3 * math.sin(n / 9 + cik) for id_, cik in ids for n in range(len(days))}
    insert(database, "stock_prices", [
        price(id_, day, close) | {"high": close * 1.01, "low": close * 0.99}
        for n, day in enumerate(days) for id_ in SHARES for close in [closes[id_, n]]
    ])  # fmt: skip
    document = landed(database, "insider_trades", "sec_edgar", "ownership", "a document")
    landed(database, "insider_trades", "sec_edgar", "daily_index", "2023-06-01")
    insert(database, "insider_trades", [
        trade(id_, BEFORE, owner=owner, landing_id=document, filed_on=BEFORE.date(), transaction_date=BEFORE.date(),
              shares=owner / 10, total_value=owner)
        for id_ in SHARES for owner in (21, 22)
    ])  # fmt: skip
    filers = [(cik, quarter) for cik in (41, 42) for quarter in (date(2023, 9, 30), QUARTER)]
    insert(database, "institutional_filings", [report(cik, BEFORE, quarter) for cik, quarter in filers])
    insert(database, "institutional_holdings", [
        holding(id_, cik, BEFORE, quarter, shares=10.0) for cik, quarter in filers for id_ in SHARES
    ])  # fmt: skip
    asked = {"parameters[tickers]": ",".join(f"T{id_}" for id_ in SHARES), "parameters[date_from]": "2022-01-03"}
    calendar = landed(database, "analyst_ratings", "benzinga", "calendar_ratings", "a page", **asked)
    insert(database, "analyst_ratings", [rating(id_, BEFORE, landing_id=calendar, price_target=30.0) for id_ in SHARES])
    insert(database, "news_sentiment", [opinion(id_, CLOSE - timedelta(days=2)) for id_ in SHARES])
    told = {"title": "One", "url": "https://example.com/1", "published_at": BEFORE}
    insert(database, "news_articles", [
        told | {"article_id": id_, "told_at": BEFORE, "sources": [], "vendors": [], "tickers": [f"T{id_}"]}
        for id_ in SHARES
    ])  # fmt: skip
    named = [{"vendor": "polygon", "vendor_id": str(id_)} for id_ in SHARES]
    insert(database, "news_sightings", [told | of | {"tickers": [], "opinions": "[]", "first_seen_at": BEFORE}
                                        for of in named])  # fmt: skip
    insert(database, "news_members", [of | {"article_id": int(of["vendor_id"]), "read_at": BEFORE} for of in named])
    return database


def plant(engine: Engine) -> None:
    """A copy of every row of every table, of later; of each table FUTURE says what is later in it."""
    document = landed(engine, "insider_trades", "sec_edgar", "ownership", "a later document")
    values = {
        "session": SESSION, "next": NEXT, "before": CLOSE - MINUTE, "later": CLOSE + MINUTE, "document": document,
    }  # fmt: skip
    with engine.begin() as connection:
        for table in ("institutional_filings", "analyst_ratings"):
            connection.execute(
                text("INSERT INTO ops.published_landings (table_name, landing_id) VALUES (:table, :document)"),
                {"table": table, "document": document},
            )
        columns = connection.execute(
            text(
                "SELECT table_name, array_agg(ARRAY[column_name, data_type]) FROM information_schema.columns"
                " JOIN information_schema.tables USING (table_schema, table_name)"
                " WHERE table_schema = 'closingbell' AND table_type = 'BASE TABLE' GROUP BY table_name"
            )
        )
        tables = dict(columns.tuples().all())
        assert set(tables) == set(FUTURE), "a table has no rows of later here"
        for table, later in FUTURE.items():
            own = {"fetched_at": "now()"} | later
            where = own.pop("WHERE", "true")
            if own.get("session") == ":next" and table != "institutional_ownership":
                where = "session = :session"
                connection.execute(text(f"DELETE FROM closingbell.{table} WHERE session = :next"), {"next": NEXT})
            assert own.keys() <= {name for name, _ in tables[table]}
            names = [name for name, _ in tables[table]]
            written = [
                own.get(name, f"{name} * 3" if kind == "double precision" else name) for name, kind in tables[table]
            ]
            statement = (
                f"INSERT INTO closingbell.{table} ({', '.join(names)})"
                f" SELECT {', '.join(written)} FROM closingbell.{table} WHERE {where}"
            )
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            assert connection.execute(text(statement), used).rowcount > 0, table


def made(engine: Engine, session: date) -> dict[str, list[str]]:
    """The tables' rows of a session, as text."""
    rows = {}
    with engine.connect() as connection:
        for table in MADE:
            until = "<=" if table == "institutional_ownership" else "="
            found = text(
                f"SELECT (to_jsonb(t) - 'fetched_at')::text FROM closingbell.{table} AS t"
                f" WHERE session {until} :day ORDER BY 1"
            )
            rows[table] = list(connection.execute(found, {"day": session}).scalars())
    return rows


def test_rows_of_later_in_every_table_move_no_score_of_a_session_before_them(market, landing):
    def make(session: date, run_id: str) -> None:
        for name in CHAIN:
            run = base.Run(
                dag_id=name, run_id=run_id, partition_key=session.isoformat(), engine=market, landing=landing
            )
            base.run_load(LOADS[name], run)

    def raws(session: date) -> dict[int, dict[str, float]]:
        with market.connect() as connection:
            found = connection.execute(
                text("SELECT security_id, inputs FROM closingbell.score_inputs WHERE session = :day"), {"day": session}
            )
            return {id_: {name: entry[0] for name, entry in inputs.items()} for id_, inputs in found}

    make(SESSION, "first")
    before = made(market, SESSION)
    assert all(before.values())
    as_known = raws(SESSION)
    assert {id_: set(own) for id_, own in as_known.items()} == {id_: set(METRICS) for id_ in SHARES}
    plant(market)
    make(SESSION, "again")
    assert made(market, SESSION) == before
    # and they do move the next one, in every metric
    make(NEXT, "next")
    moved = raws(NEXT)
    still = {name for name, value in as_known[SHARES[0]].items() if moved[SHARES[0]].get(name) == value}
    assert still == set()
