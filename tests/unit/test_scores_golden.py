"""The golden test: 40 companies, tables with gaps and with rows of later, against the plain implementation."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import polars as pl

from closingbell.scores import compute, standing
from closingbell.scores.factors import FACTORS, METRICS
from fixtures import plain_board

SESSION = date(2024, 3, 4)
CLOSE = datetime(2024, 3, 4, 21, tzinfo=UTC)
COMPANIES = 40
SCHEMAS = {
    "financials": compute.FINANCIALS, "valuations": compute.VALUATIONS, "indicators": compute.INDICATORS,
    "splits": compute.SPLITS, "splits_known": compute.SPLITS_KNOWN, "consensus": standing.CONSENSUS,
    "insiders": standing.INSIDERS, "ownership": standing.OWNERSHIP, "sentiment": standing.SENTIMENT,
}  # fmt: skip
FIGURES = [name for name, dtype in compute.FINANCIALS.items() if dtype == pl.Float64]


def number(random: Random, low: float, high: float) -> float | None:
    """One in twelve is missing; some are alike."""
    return None if random.random() < 1 / 12 else round(random.uniform(low, high), 1 if random.random() < 0.5 else 4)


def moments(random: Random) -> datetime:
    """Mostly long known; sometimes a minute before the close, at it, or a minute after."""
    if random.random() < 0.8:
        return CLOSE - timedelta(days=random.randint(1, 40))
    return CLOSE + timedelta(minutes=random.choice([-1, 0, 1]))


def market(random: Random) -> dict[str, list[dict[str, Any]]]:
    """Every table that scores are read from."""
    shares = range(1, COMPANIES + 1)
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
    tables["universe"] = [
        {"security_id": id_, "cik": id_, "session": SESSION, "sector_assumed": False,
         "sector": "Energy" if id_ < 15 else "Utilities" if id_ < 31 else "Materials" if id_ < 38 else None,
         "close": 50.0 if id_ % 13 else None, "files_form_4": id_ % 5 > 0}
        for id_ in shares
    ]  # fmt: skip
    days = [SESSION - timedelta(days=n) for n in (4, 3, 0, -1)]
    for id_ in shares:
        for quarter in range(24):
            end = date(2018 + quarter // 4, 3 * (quarter % 4) + 3, 30)
            for kind in ("Q", "TTM", *(["FY"] if quarter % 4 == 3 else [])):
                for restated in (False, True):
                    if random.random() < (0.15 if restated else 0.9):
                        known_at = datetime(end.year, end.month, end.day, 12, tzinfo=UTC) + timedelta(days=40)
                        known_at = moments(random) if restated else known_at
                        tables["financials"].append(
                            {"cik": id_, "period_end": end, "period_type": kind, "known_on": known_at.date(),
                             "known_at": known_at, "currency": "USD" if id_ % 11 else random.choice(["USD", "EUR"])}
                            | {name: number(random, -0.5, 9) for name in FIGURES}
                        )  # fmt: skip
        for day in days:
            common = {"security_id": id_, "session": day, "known_at": min(moments(random), CLOSE)}
            if day > SESSION:
                common["known_at"] = CLOSE + timedelta(hours=20)
            if random.random() < 0.9:
                tables["valuations"].append(
                    common
                    | {name: number(random, -0.2, 0.4) for name in ("earnings_yield", "book_yield", "sales_yield")}
                    | {"market_cap": number(random, 1e8, 1e9),
                       "statement_period_end": date(2023, random.choice([3, 9, 12]), 30)}
                )  # fmt: skip
                tables["indicators"].append(
                    common
                    | {name: number(random, -0.9, 2) for name in compute.INDICATORS if name.startswith("return")}
                    | {"close": 50.0, "sma_50": number(random, 45, 55), "adx_14": number(random, 0, 60)}
                    | {"rsi_14": number(random, 0, 100), "macd_histogram": number(random, -2, 2)}
                )
            if random.random() < 0.8:
                tables["consensus"].append(
                    common
                    | {"rating_mean": round(random.uniform(1, 5), 2), "target_mean": number(random, 20, 700),
                       "firms": random.randint(1, 30), "ratings_from": date(2023, 3, random.choice([1, 2, 5]))}
                )  # fmt: skip
            if random.random() < 0.5:
                tables["insiders"].append(
                    common
                    | {f"net_value_{n}d": number(random, -5e6, 5e6) for n in (30, 90)}
                    | {f"unpriced_{n}d": random.choice([0, 0, 0, 1]) for n in (30, 90)}
                    | {"buyers_30d": random.randint(0, 4), "filings_from": day - timedelta(days=89)}
                )
            if random.random() < 0.8:
                tables["sentiment"].append(common | {f"sentiment_{n}d": number(random, -1, 1) for n in (7, 30)})
            tables["ownership"] += [
                common | {"quarter": quarter, "holders": random.randint(0, 90), "filers": 4000}
                | {"share_owned": number(random, 0, 1.7)}
                | {name: number(random, 0, 9) for name in ("compared_shares", "shares_before")}
                for quarter in (date(2023, 9, 30), date(2023, 12, 31), date(2024, 3, 31))
                if random.random() < 0.6 and quarter < day
            ]  # fmt: skip
        if random.random() < 0.4:
            tables["splits"].append(
                {"security_id": id_, "ex_date": random.choice([*days, date(2021, 6, 1)]), "numerator": 3.0,
                 "denominator": random.choice([1.0, 2.0]), "kind": random.choice(["split", "spin_off"])}
            )  # fmt: skip
        since = random.choice([date(2010, 1, 4), date(2010, 1, 4), date(2010, 1, 4), date(2020, 1, 2), None])
        tables["splits_known"].append({"security_id": id_, "known_from": since})
    return tables


def scored(tables: dict[str, list[dict[str, Any]]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    frames = {
        name: pl.DataFrame([{column: row.get(column) for column in schema} for row in tables[name]], schema=schema)
        for name, schema in (SCHEMAS | {"universe": compute.UNIVERSE}).items()
    }
    universe = frames.pop("universe")
    return compute.scores(universe, compute.metrics_from(universe, **frames, closes={SESSION: CLOSE}), {SESSION: CLOSE})


def test_a_session_of_forty_companies_equals_the_plain_implementation():
    tables = market(Random(2024))
    ic_scores, score_inputs = scored(tables)
    expected = plain_board.board(tables, SESSION, CLOSE)
    assert len(expected) == COMPANIES
    assert plain_board.differences(expected, ic_scores.to_dicts(), score_inputs.to_dicts()) == []
    # it is a session that says something: every metric and factor is there, and missing somewhere
    have = Counter(metric for row in expected.values() for metric in row["inputs"])
    assert set(have) == set(METRICS)
    assert all(5 <= count < COMPANIES for count in have.values()), have
    assert all(ic_scores[factor.name].null_count() < COMPANIES for factor in FACTORS)
    assert {"High", "Medium"} <= set(ic_scores["confidence"])
    assert ic_scores["sector"].n_unique() == 4


def test_without_the_rows_of_later_the_session_is_the_same():
    tables = market(Random(2024))
    cleaned = {
        name: [
            row
            for row in rows
            if row.get("known_at", CLOSE) <= CLOSE and row.get("session", SESSION) <= SESSION
            and row.get("ex_date", SESSION) <= SESSION
        ]
        for name, rows in tables.items()
    }  # fmt: skip
    assert all(len(cleaned[name]) < len(tables[name]) for name in SCHEMAS.keys() - {"splits_known"})
    for dirty, clean in zip(scored(tables), scored(cleaned), strict=True):
        assert dirty.equals(clean)
