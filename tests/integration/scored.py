"""A warehouse as the API finds it: the simulated universe with bars, statements, moods and scores of three sessions.

Two tickers are added that were given up: RENAMED, which nobody bears now, and REUSED, which another security bears.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from closingbell import sessions
from closingbell.api import keys
from closingbell.scores.factors import FACTORS

AT = datetime(2030, 1, 1, tzinfo=UTC)
HERO, OTHER = 0, 1  # places among the shares, by security_id
NAMES = [factor.name for factor in FACTORS]

SHARES = "SELECT security_id FROM closingbell.securities WHERE type = 'CS' AND last_session IS NULL ORDER BY 1"
BARS = """
INSERT INTO closingbell.stock_prices (security_id, session, open, high, low, close, volume, source, final, fetched_at)
SELECT s.security_id, d.day, 10, 12, 9, 10 + s.place % 7, 1000 + s.place, 'polygon', true, :at
FROM (SELECT security_id, row_number() OVER (ORDER BY security_id) AS place
      FROM closingbell.securities WHERE type = 'CS' AND last_session IS NULL) AS s
CROSS JOIN unnest(CAST(:days AS date[])) AS d (day)"""
INDICATORS = """
INSERT INTO closingbell.technical_indicators
    (security_id, session, close, rsi_14, return_1m, return_3m, bars, fetched_at)
SELECT security_id, session, close, 30 + number % 40, CASE WHEN number % 3 > 0 THEN number % 11 / 10.0 END,
       extract(day FROM session) / number, 400, :at
FROM (SELECT *, CAST(volume AS integer) AS number FROM closingbell.stock_prices) AS p"""
VALUATIONS = """
INSERT INTO closingbell.valuation_ratios (security_id, session, close, market_cap, pe_ratio, earnings_yield,
    statement_period_end, statement_known_on, fetched_at)
SELECT security_id, session, close, 1e9, 20, CAST(volume AS integer) % 13 / 100.0, :period, :known_on, :at
FROM closingbell.stock_prices"""
STATEMENTS = """
INSERT INTO closingbell.financials
    (cik, period_end, period_type, known_on, known_at, currency, accession_no, source_accession_nos, net_margin, roa,
     fetched_at)
SELECT DISTINCT s.cik, CAST(:period AS date), 'TTM', CAST(:known_on AS date), CAST(:known_at AS timestamptz), 'USD',
       '0000000001-25-000001', ARRAY['0000000001-25-000001', '0000000001-24-000009'], s.cik % 17 / 20.0, 0.1, :at
FROM closingbell.securities AS s WHERE s.type = 'CS' AND s.last_session IS NULL"""
MOOD = """
INSERT INTO closingbell.sentiment_daily (security_id, session, sentiment_7d, sentiment_30d, articles_7d, articles_30d,
    last_published_at, hours_since, by_source, known_at, fetched_at)
VALUES (:security, :session, 0.25, 0.125, 1, 2, :close, 0, '{"polygon": {"weight": 1.0}}', :close, :at)"""
ARTICLE = """
INSERT INTO closingbell.news_articles (article_id, title, url, source, published_at, told_at, sources, vendors, tickers,
    fetched_at)
VALUES (:article, :title, 'https://news.example/' || :article, 'Wire', :published, coalesce(:told, :published),
    '{Wire}', :vendors, '{}', :at)"""
COPY = """
WITH copy AS (
    INSERT INTO closingbell.news_sightings (vendor, vendor_id, url, title, source, published_at, tickers, opinions,
        first_seen_at, fetched_at)
    VALUES (:vendor, 'copy', 'https://' || :vendor || '.example/3', :title, 'Wire', :published, '{}', '[]', :seen, :at)
)
INSERT INTO closingbell.news_members (vendor, vendor_id, article_id, read_at, fetched_at)
VALUES (:vendor, 'copy', :article, :at, :at)"""
OPINION = """
INSERT INTO closingbell.news_sentiment (article_id, security_id, model, model_version, score, known_at, fetched_at)
VALUES (:article, :security, :model, '1', :score, :published, :at)"""
COMPANY = """
INSERT INTO closingbell.companies (cik, valid_from, name, fetched_at) VALUES (:cik, :first, :name, :at)"""
SECURITY = """
INSERT INTO closingbell.securities (security_id, cik, name, type, fetched_at)
VALUES (:security, :cik, :name, 'CS', :at)"""
TICKER = """
INSERT INTO closingbell.ticker_history (ticker, valid_from, valid_to, security_id, fetched_at)
VALUES (:ticker, :first, :last, :security, :at)"""
SPLIT = """
INSERT INTO closingbell.corporate_actions
    (security_id, ex_date, kind, numerator, denominator, known_at, source, fetched_at)
VALUES (:security, :session, 'split', 2, 1, :at, 'polygon', :at)"""


QUARTER = """
INSERT INTO closingbell.financials (cik, period_end, period_type, known_on, known_at, currency, accession_no,
    source_accession_nos, revenue, net_income, fetched_at)
SELECT cik, :period, 'Q', CAST(:known_at AS date), :known_at, 'USD', :accession,
       ARRAY['0000000009-25-000009', :accession], :revenue, 1e8, :at
FROM closingbell.securities WHERE security_id = :security"""
TRADE = """
INSERT INTO closingbell.insider_trades (accession_no, is_derivative, row_no, form, issuer_cik, security_id, owner_ciks,
    owner_names, insider_name, is_director, is_officer, is_ten_percent_owner, is_other, transaction_date,
    transaction_code, transaction_type, acquired, shares, price_per_share, total_value, direct, filed_on, known_at,
    fetched_at)
SELECT :accession, false, 1, '4', cik, :security, ARRAY[1], ARRAY[:name], :name, true, false, false, false,
       CAST(:known_at AS date), 'P', 'open-market purchase', true, 1000, 10, 10000, true, CAST(:known_at AS date),
       :known_at, :at
FROM closingbell.securities WHERE security_id = :security"""
OWNERS = """
INSERT INTO closingbell.institutional_ownership (security_id, session, quarter, known_at, holders, shares, market_value,
    share_owned, put_shares, call_shares, filers, fetched_at)
VALUES (:security, :session, :quarter, :known_at, 2, 5e6, 5e7, 0.25, 0, 0, 9, :at)"""
REPORT = """
INSERT INTO closingbell.institutional_filings (accession_no, form, institution_cik, institution_name, quarter, filed_on,
    known_at, amendment_no, amendment_type, rows, reported_total, value_unit, unit_source, problems, managers,
    fetched_at)
VALUES (:accession, :form, :institution, :name, :quarter, CAST(:known_at AS date), :known_at, :number, :amendment, 1, 1,
    1, 'date', '{}', '[]', :at)"""
HOLDING = """
INSERT INTO closingbell.institutional_holdings (accession_no, row_no, institution_cik, institution_name, quarter,
    filed_on, known_at, cusip, security_id, shares, market_value, fetched_at)
VALUES (:accession, 1, :institution, :name, :quarter, CAST(:known_at AS date), :known_at, '000000000', :security,
    :shares, 1e6, :at)"""
CONSENSUS = """
INSERT INTO closingbell.analyst_consensus (security_id, session, firms, rating_mean, strong_buys, buys, holds, sells,
    strong_sells, targets, target_mean, target_low, target_high, target_currency, last_rated_at,
    ratings_from, fetched_at)
VALUES (:security, :session, 3, 4, 1, 1, 1, 0, 0, 2, 15, 12, 18, 'USD', :known_at, :quarter, :at)"""
RATING = """
INSERT INTO closingbell.analyst_ratings (vendor, rating_id, security_id, ticker, analyst_firm, action, rating,
    price_target, currency, rated_at, rated_at_source, known_at, updated_at, fetched_at)
VALUES ('benzinga', :accession, :security, 'X', :name, 'upgrades', 'Buy', 18, 'USD', :known_at, 'time', :known_at,
    :known_at, :at)"""


class Warehouse:
    """A database with scores, what it holds, and a client with a key."""

    def __init__(self, engine: Engine, days: list[date]) -> None:
        self.engine, self.days = engine, days
        self.shares = [row["security_id"] for row in self.rows(SHARES)]
        self.key = keys.make(engine, "tests", "pro", author="tests")[1]
        self.client: TestClient

    def rows(self, statement: str, **params: Any) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement), params).mappings()]

    def score(self, security: int, session: date) -> dict[str, Any]:
        statement = "SELECT * FROM closingbell.ic_scores WHERE security_id = :security AND session = :session"
        return self.rows(statement, security=security, session=session)[0]

    def ticker(self, security: int) -> str:
        statement = "SELECT ticker FROM closingbell.borne_tickers WHERE security_id = :security AND valid_to IS NULL"
        return self.rows(statement, security=security)[0]["ticker"]

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(path, headers={"X-API-Key": self.key})
        assert answer.status_code == status, f"{path}: {answer.text}"
        return answer.json()


def fill(engine: Engine, days: list[date]) -> None:
    close, hours = sessions.close_of(days[-1]), timedelta(hours=2)
    statement = {"period": days[0].replace(day=1), "known_on": days[0], "at": AT}
    with engine.begin() as connection:
        shares = list(connection.scalars(text(SHARES)))
        hero, other = shares[HERO], shares[OTHER]
        connection.execute(text(BARS), {"days": days, "at": AT})
        connection.execute(text(INDICATORS), {"at": AT})
        connection.execute(text(STATEMENTS), statement | {"known_at": sessions.close_of(days[0])})
        connection.execute(text(VALUATIONS), statement)
        connection.execute(text(MOOD), {"security": hero, "session": days[-1], "close": close, "at": AT})
        articles = [
            {"article": 1, "title": "before the close", "published": close},
            {"article": 2, "title": "after the close", "published": close.replace(hour=23)},
            # its later copy was landed first
            {"article": 3, "title": "after the close, all", "published": close - hours, "told": close + hours},
        ]
        for vendor, title, published, seen in (
            ("polygon", "what was told by then", close - hours, AT),
            ("web", "after the close, all", close + hours, close),
        ):
            copy = {"vendor": vendor, "title": title, "published": published, "seen": seen, "article": 3, "at": AT}
            connection.execute(text(COPY), copy)
        for one in articles:
            article = {"told": None, "vendors": ["polygon", "web"] if "told" in one else ["polygon"], "at": AT, **one}
            connection.execute(text(ARTICLE), article)
            for model, score in (("polygon", 0.5), ("lexicon", -0.25)):
                connection.execute(text(OPINION), {**article, "security": hero, "model": model, "score": score})
        connection.execute(text(SPLIT), {"security": hero, "session": days[-1], "at": AT})
        for ticker, security, first, last in (
            ("RENAMED", hero, date(2010, 1, 4), date(2012, 6, 29)),
            ("REUSED", hero, date(2013, 1, 2), date(2014, 6, 30)),
            ("REUSED", other, days[1], None),
        ):
            row = {"ticker": ticker, "security": security, "first": first, "last": last, "at": AT}
            connection.execute(text(TICKER), row)


def fill_rooms(engine: Engine, hero: int, days: list[date]) -> None:
    """What a stock's page shows besides: of each kind something known by the close of the middle session, and later."""
    with engine.begin() as connection:

        def put(statement: str, **row: Any) -> None:
            connection.execute(text(statement), {"security": hero, "at": AT, "quarter": date(2025, 9, 30)} | row)

        known, later = (sessions.close_of(day) for day in (days[1], days[2]))
        for period, revenue, number, when in (
            (date(2025, 6, 30), 1.0e9, 1, sessions.close_of(days[0])),
            (date(2025, 9, 30), 2.0e9, 2, known),
            (date(2025, 9, 30), 1.8e9, 3, later),  # restated
        ):
            accession = f"0000000009-25-00000{number}"
            put(QUARTER, period=period, revenue=revenue, accession=accession, known_at=when)
        for name, number, when, shares in (("Early Ann", 4, known, 3e6), ("Late Lou", 5, later, 2e6)):
            one = {"name": name, "accession": f"0000000009-25-00000{number}", "known_at": when}
            put(TRADE, **one)
            put(REPORT, **one, institution=number, form="13F-HR", number=None, amendment=None)
            put(HOLDING, **one, institution=number, shares=shares)
            put(RATING, **one)
        put(OWNERS, session=days[1], known_at=known)
        put(CONSENSUS, session=days[1], known_at=known)
