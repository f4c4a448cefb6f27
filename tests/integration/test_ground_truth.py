"""Every published value against the simulated market's own account, as known on three sessions: one load, each with 250
bars of history and more, of companies enough that two sectors rank their own."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any

import polars as pl
import pytest
from deployment import Deployment, deployed

from closingbell.fundamentals.compute import RATIOS
from closingbell.fundamentals.versions import FIGURES
from closingbell.pipelines import market_close
from closingbell.sandbox.server import open_market
from closingbell.scores.factors import MAX_AGE_DAYS, METRICS
from closingbell.sessions import NEW_YORK, close_of, last_sessions, sessions_between
from closingbell.warehouse import db
from fixtures import plain_metrics, plain_scores
from fixtures.plain_indicators import plain

Row = dict[str, Any]

COMPANIES = 104
RANKED = ("Information Technology", "Communication Services")  # with at least ten shares, all loaded
SPLIT_LATELY = 53  # 4 for 1 on 2025-06-16, within the history
HISTORY = 280
SCORED = (256, 268, 280)  # the nth session of the history
NEVER_KNOWN = date(1990, 1, 2)


@pytest.fixture(scope="module")
def market() -> Any:
    return open_market("simulated", seed=7, companies=COMPANIES)


@pytest.fixture(scope="module")
def last(market: Any) -> date:
    return market.last_session


@pytest.fixture(scope="module")
def sessions(last: date) -> list[date]:
    history = last_sessions(last, HISTORY)
    return [history[nth - 1] for nth in SCORED]


@pytest.fixture(scope="module")
def ciks(market: Any) -> set[int]:
    """The companies that are loaded: the special cases, those of two sectors, and one that split lately."""
    chosen = [index for index in range(COMPANIES) if market.registry[index].sector.name in RANKED]
    return {market.registry.cik(index) for index in (*range(20), *chosen, SPLIT_LATELY)}


@pytest.fixture(scope="module")
def loaded(market, last, sessions, ciks, new_database, migrated_template, tmp_path_factory) -> Iterator[Deployment]:
    tickers = [listing.newest_ticker(last) for cik in sorted(ciks) for listing in market.company(cik).listings]
    url, folder = new_database(migrated_template), tmp_path_factory.mktemp("loaded")
    for deployment in deployed(market, url, folder, warmup=HISTORY, tickers=tickers):
        for name in ("universe", "sec_financials", "prices"):
            deployment.run(name, "first", last)
        for session in sessions:
            for name in ("indicators", "valuation_ratios", "scores"):
                deployment.run(name, f"of {session}", session)
        yield deployment


class Known:
    """The market's account of the loaded companies, by security."""

    def __init__(self, market: Any, ciks: set[int], ids: dict[str, int], sessions: list[date]) -> None:
        self.market, last = market, market.last_session
        self.shares = {ids[row["figi"]]: row for row in market.truth.securities(close_of(last)).to_dicts()
                       if row["cik"] in ciks}  # fmt: skip
        bars = [self.bars_of(session) for session in last_sessions(last, HISTORY)]
        self.bars = {
            ids[figi]: frame for (figi,), frame in pl.concat(bars).group_by("figi", maintain_order=True) if figi in ids
        }
        self.splits: dict[str, list[Row]] = defaultdict(list)
        for split in market.truth.actions().filter(kind="split").to_dicts():
            self.splits[split["figi"]].append(split)
        self.account = cache(lambda cik, session: plain_metrics.Account(market, cik, session))
        self.indicators = {session: self._indicators(session) for session in sessions}
        self.valuations = {session: self._valuations(session) for session in sessions}

    def bars_of(self, session: date) -> pl.DataFrame:
        """As the vendor has them on the evening of the last session."""
        truth = self.market.truth
        return truth.provisional_bars(session) if session == self.market.last_session else truth.bars(session)

    def _indicators(self, session: date) -> dict[int, Row]:
        rows = {}
        for id_, bars in self.bars.items():
            own = bars.filter(pl.col("session") <= session)
            if own.is_empty() or own["session"][-1] != session:
                continue
            splits = self.splits[self.shares[id_]["figi"]]
            rows[id_] = plain(plain_metrics.on_basis(own, splits, session)) | {"bars": own.height}
        return rows

    def _valuations(self, session: date) -> dict[int, Row]:
        companies: dict[int, dict[int, Row]] = defaultdict(dict)
        for id_, row in self.indicators[session].items():
            share = self.shares[id_]
            # vendors say what the classes of a company count on the day that they are asked
            told = share["class_shares"] if session == self.market.last_session and share["share_class"] else None
            companies[share["cik"]][id_] = share | {"close": row["close"], "class_shares": told}
        rows = {}
        for cik, classes in companies.items():
            splits = self.splits[next(iter(classes.values()))["figi"]]
            of_company = plain_metrics.valuation(self.account(cik, session), list(classes.values()), splits)
            rows |= {id_: {"close": share["close"]} | of_company for id_, share in classes.items()}
        return rows

    def metrics(self, session: date) -> dict[str, dict[int, float]]:
        """{metric: {security_id: value}} of every share that traded."""
        found: dict[str, dict[int, float]] = defaultdict(dict)
        for id_, valued in self.valuations[session].items():
            share = self.shares[id_]
            account = self.account(share["cik"], session)
            own = plain_metrics.of_statements(account, self.splits[share["figi"]])
            own |= {name: valued[name] for name in plain_metrics.YIELDS}
            own |= plain_metrics.of_indicators(self.indicators[session][id_])
            for name, value in own.items():
                if plain_scores.possible(name, value):
                    found[name][id_] = value
        return found


@pytest.fixture(scope="module")
def known(loaded, market, ciks, sessions) -> Known:
    rows = loaded.frame("securities")
    return Known(market, ciks, dict(rows.select("figi", "security_id").rows()), sessions)


def test_companies_equal_the_ground_truth(loaded, market, last, ciks):
    members = {market.registry.cik(index) for index in market.members}
    expected = set()
    for cik in ciks:
        company = market.company(cik)
        year_end = company.quarter_ends[(len(company.quarter_ends) // 4) * 4 - 1]
        listed = any(listing.ticker_on(last) for listing in company.listings)
        expected.add(
            (
                cik, last, company.name, company.sector.sic, company.sector.sic_description, company.sector.name,
                "sp500" if cik in members and listed else "sic", f"{year_end:%m%d}", company.state, "operating",
            )
        )  # fmt: skip
    columns = (
        "cik", "valid_from", "name", "sic", "sic_description", "sector", "sector_source", "fiscal_year_end", "state",
        "entity_type",
    )  # fmt: skip
    assert set(loaded.frame("companies").select(columns).rows()) == expected


def test_securities_and_shares_of_classes_equal_the_ground_truth(loaded, market, last, ciks):
    truth = market.truth.securities(close_of(last)).filter(pl.col("cik").is_in(ciks))
    columns = ["figi", "cik", "name", "share_class", "type", "exchange", "shares_per_base", "last_session"]
    stored = loaded.frame("securities")
    assert set(stored.select(columns).rows()) == set(truth.select(columns).rows())
    several = truth.filter(pl.len().over("cik") > 1)
    counted = loaded.frame("class_shares").join(stored, on="security_id")
    assert set(counted.select("figi", "valid_from", "shares").rows()) == {
        (figi, last, shares) for figi, shares in several.select("figi", "class_shares").rows()
    }


def test_tickers_equal_the_ground_truth(loaded, market, last, ciks):
    expected = set()
    for row in market.truth.tickers(close_of(last)).filter(pl.col("cik").is_in(ciks)).to_dicts():
        # a vendor's list of those delisted does not say since when they bore the ticker
        gone = market.company(row["cik"]).last_session is not None
        since = NEVER_KNOWN if gone else row["valid_from"]
        expected.add((row["figi"], row["ticker"], since, row["valid_to"], gone))
    stored = loaded.frame("ticker_history").join(loaded.frame("securities"), on="security_id")
    assert set(stored.select("figi", "ticker", "valid_from", "valid_to", "assumed").rows()) == expected


def test_index_members_equal_the_ground_truth(loaded, market, last, ciks):
    figis = loaded.frame("securities").select("security_id", "figi")
    stored = loaded.frame("index_members").join(figis, on="security_id")
    truth = market.truth.index_members(close_of(last)).filter(pl.col("figi").is_in(figis["figi"].implode()))
    assert set(stored.select("index_name", "figi", "valid_from", "valid_to", "rank").rows()) == {
        ("sp500", figi, valid_from, None, None) for figi, valid_from in truth.rows()
    }
    assert 15 < truth.height < len(ciks)


def test_actions_equal_the_ground_truth(loaded, market, last, ciks):
    """Dividends since the history's first session, splits since growth's earnings a share may stand."""
    history = last_sessions(last, HISTORY)[0]
    until = last + timedelta(days=market_close.ANNOUNCED_DAYS)
    since = {"dividend": history, "split": last - timedelta(days=market_close.SPLIT_DAYS)}
    expected = set()
    for row in market.truth.actions(market.default_clock).to_dicts():
        if row["cik"] in ciks and since[row["kind"]] <= row["ex_date"] <= until:
            told = close_of(
                sessions_between(row["ex_date"] - timedelta(days=9), row["ex_date"] - timedelta(days=1))[-1]
            )
            paid = row["kind"] == "dividend"
            if paid:  # no vendor says when a split was announced
                told = min(told, datetime.combine(row["announced"], time(16), NEW_YORK).astimezone(UTC))
            names = ("figi", "ex_date", "kind", "numerator", "denominator", "amount")
            expected.add((*(row[name] for name in names), "USD" if paid else None, told, "polygon"))
    stored = loaded.frame("corporate_actions").join(loaded.frame("securities"), on="security_id")
    columns = ("figi", "ex_date", "kind", "numerator", "denominator", "amount", "currency", "known_at", "source")
    assert set(stored.select(columns).rows()) == expected
    kinds = Counter(row[2] for row in expected)
    assert kinds["dividend"] > 80
    assert kinds["split"] >= 5
    assert any(kind == "split" and ex_date > history for _, ex_date, kind, *_ in expected)


def test_bars_equal_the_ground_truth(loaded, known, last):
    figis = loaded.frame("securities").select("security_id", "figi")
    names = ["figi", "open", "high", "low", "close", "volume", "vwap", "trades"]
    for session in (*last_sessions(last, 3), last_sessions(last, HISTORY)[0]):
        truth = known.bars_of(session).filter(pl.col("figi").is_in(figis["figi"].implode()))
        stored = loaded.of_session("stock_prices", session).join(figis, on="security_id")
        assert set(stored.select(*names, "source", "final", "adjusted_as_of").rows()) == {
            (*row, "polygon", session != last, None) for row in truth.select(names).rows()
        }


def test_statements_equal_the_ground_truth(loaded, market, ciks):
    for session in (date(2019, 11, 1), date(2023, 5, 10), market.last_session):
        as_of = close_of(session)
        with loaded.engine.connect() as connection:
            published = db.query(connection, "financials_as_of", as_of=as_of, ciks=None)
        key = ["cik", "period_type", "period_end"]
        values = [*FIGURES, *RATIOS]
        truth = market.truth.statements(as_of, sorted(ciks))
        assert published.height > 500
        assert sorted(published.select(key).rows()) == sorted(truth.select(key).rows())
        both = truth.join(published, on=key, suffix="_published")
        for value in values:
            wrong = both.filter(~_close(pl.col(value), pl.col(f"{value}_published")))
            assert wrong.is_empty(), (session, value, wrong.select(*key, value, f"{value}_published").head(5))


def test_indicators_equal_the_ground_truth(loaded, known, sessions):
    for session in sessions:
        stored = loaded.of_session("technical_indicators", session)
        _assert_rows(stored, known.indicators[session])
    everywhere = [stored[name].null_count() for name in stored.columns]
    assert max(everywhere) <= 3  # an illiquid share has too few bars for the long ones


def test_valuations_equal_the_ground_truth(loaded, market, known, sessions):
    for session in sessions:
        _assert_rows(loaded.of_session("valuation_ratios", session), known.valuations[session])
    rows = {
        session: {known.shares[id_]["cik"]: row for id_, row in of.items()} for session, of in known.valuations.items()
    }
    cases = market.cases
    assert rows[sessions[-1]][cases["class_ratio"]]["market_cap"]  # the sum of its classes, whose counts were not
    assert rows[sessions[0]][cases["class_ratio"]]["market_cap"] is None  # known before
    assert rows[sessions[0]][cases["two_classes"]]["earnings_yield"]
    assert rows[sessions[0]][cases["ifrs"]]["market_cap"]


def test_scores_equal_the_ground_truth(loaded, market, known, sessions, last):
    sectors = market.truth.sectors()
    groups: Counter[str] = Counter()
    for session in sessions:
        values = known.metrics(session)
        # no other DAG has run: see test_scores_reads.py and test_chain.py
        assert set(values) == {metric.name for metric in METRICS.values() if metric.source not in MAX_AGE_DAYS}
        traded = {id_: sectors[known.shares[id_]["cik"]] for id_ in known.valuations[session]}
        # its splits came before the history of prices: without them its growth is not its own
        assert market.cases["forward_split"] in {known.shares[id_]["cik"] for id_ in values["eps_growth"]}
        board = plain_scores.board_of(traded, values)
        for id_, entries in loaded.inputs(session).items():
            expected = board[id_].pop("inputs")
            assert entries.keys() == expected.keys(), (session, id_)
            for metric, (raw, group, n, percentile, _) in entries.items():
                said = (session, id_, metric)
                assert (group, n) == expected[metric][1:3], said
                assert (raw, percentile) == pytest.approx(expected[metric][0::3], rel=1e-9, abs=1e-9), said
                groups[group] += 1
        about = {"sector_assumed": session != last, "known_at": close_of(session)}  # sectors are those of the last
        _assert_rows(loaded.of_session("ic_scores", session), {id_: row | about for id_, row in board.items()})
    assert set(groups) == {"market", *RANKED}
    assert all(count > 500 for count in groups.values()), groups


def _assert_rows(stored: pl.DataFrame, expected: dict[int, Row]) -> None:
    """Every column but the key, of every row."""
    rows = {row.pop("security_id"): row for row in stored.drop("session").to_dicts()}
    assert rows.keys() == expected.keys()
    wrong = [
        (id_, name, value, "truly", expected[id_][name])
        for id_, row in rows.items()
        for name, value in row.items()
        if not _alike(value, expected[id_][name])
    ]
    assert not wrong, (len(wrong), wrong[:9])


def _alike(one: Any, other: Any) -> bool:
    numbers = isinstance(one, (int, float)) and isinstance(other, (int, float))
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) if numbers else one == other


def _close(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    same = (a - b).abs() <= 1e-9 * pl.max_horizontal(a.abs(), b.abs(), pl.lit(1e-12))
    return pl.when(a.is_null() | b.is_null()).then(a.is_null() & b.is_null()).otherwise(same)
