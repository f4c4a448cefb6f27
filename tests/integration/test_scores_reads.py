"""The scoring reads on a real PostgreSQL: what a session may see, from tables to published rows and back."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from psycopg2.extras import execute_values
from sqlalchemy import Engine

from closingbell import cli, demo, stack
from closingbell.landing import Landing
from closingbell.orchestration import partitions
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.scores import board, compute
from closingbell.settings import settings
from closingbell.stack import record
from closingbell.warehouse import db

SESSIONS = [date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 4)]
CLOSES = {day: datetime(day.year, day.month, day.day, 21, tzinfo=UTC) for day in SESSIONS}
SESSION = SESSIONS[1]
CLOSE = CLOSES[SESSION]
SECURITIES = 24
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
        "security_id": security_id, "session": session, "close": 10.0, "earnings_yield": number / 50,
        "statement_period_end": date(2023, 9, 30),
    }  # fmt: skip


@pytest.fixture
def market(database: Engine) -> Engine:
    """Twenty-four companies of two sectors with prices on three sessions and statements from 2018."""
    ids = range(1, SECURITIES + 1)
    sectors = {i: "Energy" if i % 2 else "Utilities" for i in ids}
    insert(database, "companies", [
        {"cik": i, "valid_from": date(2020, 1, 1), "name": f"Company {i}", "sector": sectors[i]} for i in ids
    ])  # fmt: skip
    insert(database, "securities", [
        {"security_id": i * 1000 + 1, "cik": i, "name": f"Company {i} common", "type": "CS",
         "first_session": date(2018, 1, 2), "last_session": None} for i in ids
    ])  # fmt: skip
    insert(database, "ticker_history", [
        {"ticker": f"T{i}", "valid_from": date(2018, 1, 2), "valid_to": None, "assumed": False,
         "security_id": i * 1000 + 1} for i in ids
    ])  # fmt: skip
    insert(database, "stock_prices", [price(i * 1000 + 1, day) for i in ids for day in SESSIONS])
    insert(database, "technical_indicators", [indicator(i * 1000 + 1, day, i) for i in ids for day in SESSIONS])
    insert(database, "valuation_ratios", [valuation(i * 1000 + 1, day, i) for i in ids for day in SESSIONS])
    ends = [date(2018 + n // 4, 3 * (n % 4) + 3, 30) for n in range(23)]  # to 2023-09-30
    insert(database, "financials", [
        statement(i, end, kind, datetime(end.year, end.month, end.day, 12, tzinfo=UTC) + timedelta(days=40),
                  revenue=100.0 + n * i, eps_diluted=1.0 + n * i / 10, net_margin=i / 100, current_ratio=1 + i / 10)
        for i in ids for n, end in enumerate(ends) for kind in ("Q", "TTM")
    ])  # fmt: skip
    return database


def scored(engine: Engine, sessions: list[date]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the pipeline does: five reads, metrics, scores."""
    closes = {day: CLOSES[day] for day in sessions}
    span = {"first": sessions[0], "last": sessions[-1]}
    universe = db.query(engine, "score_universe", **span)
    metrics = compute.metrics_from(
        universe,
        financials=db.query(
            engine, "score_financials", first=sessions[0], first_close=closes[sessions[0]],
            last_close=closes[sessions[-1]],
        ),
        valuations=db.query(engine, "score_valuations", **span),
        indicators=db.query(engine, "score_indicators", **span),
        splits=db.query(engine, "score_splits", last=sessions[-1]),
        splits_known=db.query(engine, "splits_known_from"),
        closes=closes,
    )  # fmt: skip
    return compute.scores(universe, metrics, closes)


def test_nothing_known_later_moves_a_score(market):
    before = scored(market, [SESSION])
    assert before[0].height == SECURITIES
    assert before[0]["data_completeness"].unique().to_list() == [0.65]  # six factors of 12+15+12+10+8+8
    later = CLOSE + timedelta(minutes=1)
    poison = {"revenue": 1e9, "eps_diluted": 1e9, "net_margin": 1e9, "current_ratio": 1e9}
    insert(market, "financials", [
        statement(1, date(2023, 12, 31), kind, later, **poison) for kind in ("Q", "TTM", "FY")
    ] + [
        statement(2, date(2023, 9, 30), kind, later, **poison) for kind in ("Q", "TTM")  # a restatement
    ])  # fmt: skip
    insert(market, "corporate_actions", [
        {"security_id": 3001, "ex_date": SESSIONS[2], "kind": "split", "numerator": 10, "denominator": 1,
         "known_at": CLOSE - timedelta(days=30), "source": "polygon"},
        {"security_id": 3001, "ex_date": SESSION, "kind": "dividend", "numerator": None, "denominator": None,
         "known_at": CLOSE - timedelta(days=30), "source": "polygon"},
    ])  # fmt: skip
    after_session = date(2024, 3, 5)
    insert(market, "stock_prices", [price(4001, after_session, 1e9)])
    insert(market, "technical_indicators", [indicator(4001, after_session, 1e9)])
    insert(market, "valuation_ratios", [valuation(4001, after_session, 1e9)])
    insert(market, "companies", [
        {"cik": 5, "valid_from": SESSIONS[2], "name": "Renamed", "sector": "Utilities"}
    ])  # fmt: skip
    after = scored(market, [SESSION])
    assert after[0].equals(before[0])
    assert after[1].equals(before[1])
    # each of them does move the session that may see it
    moved = scored(market, [SESSIONS[2]])[1]
    texts = dict(moved.select("security_id", "inputs").iter_rows())
    assert json.loads(texts[1001])["net_margin"][0] == 1e9
    assert json.loads(texts[2001])["net_margin"][0] == 1e9


def test_a_filing_accepted_a_minute_before_the_close_counts(market):
    insert(market, "financials", [
        statement(1, date(2023, 12, 31), "TTM", CLOSE - timedelta(minutes=1), net_margin=0.77),
        statement(2, date(2023, 12, 31), "TTM", CLOSE + timedelta(minutes=1), net_margin=0.77),
    ])  # fmt: skip
    texts = dict(scored(market, [SESSION])[1].select("security_id", "inputs").iter_rows())
    assert json.loads(texts[1001])["net_margin"][0] == 0.77
    assert json.loads(texts[1001])["net_margin"][4] == ["financials", 1, "2023-12-31", "TTM", "2024-03-01"]
    assert json.loads(texts[2001])["net_margin"][0] == 0.02


def test_a_backfill_gives_the_bytes_of_the_daily_runs(market):
    insert(market, "financials", [
        statement(1, date(2023, 12, 31), "TTM", CLOSES[SESSIONS[1]] + timedelta(hours=n), net_margin=0.5 + n / 100)
        for n in (-30, 0, 25)
    ])  # fmt: skip
    together = scored(market, SESSIONS)
    alone = [scored(market, [day]) for day in SESSIONS]
    for at in (0, 1):
        assert together[at].equals(pl.concat([one[at] for one in alone]))


def test_the_universe_is_what_was_listed_and_traded(market):
    insert(market, "securities", [
        {"security_id": id_, "cik": None, "name": name, "type": kind, "first_session": first, "last_session": last}
        for id_, name, kind, first, last in (
            (90001, "a fund", "ETF", None, None),
            (90002, "delisted since", "CS", None, SESSION),
            (90003, "delisted before", "CS", None, SESSIONS[0]),
            (90004, "not listed yet", "CS", SESSIONS[2], None),
            (90005, "without a bar", "CS", None, None),
            (90006, "a depositary receipt", "ADRC", None, None),
        )
    ])  # fmt: skip
    insert(market, "stock_prices", [price(90000 + n, SESSION) for n in (1, 2, 3, 4, 6)])
    universe = db.query(market, "score_universe", first=SESSION, last=SESSION)
    assert set(universe["security_id"].to_list()) - set(range(1001, 25001, 1000)) == {90002, 90006}
    assert universe.filter(security_id=90006).row(0) == (90006, SESSION, None, None, False)


def test_the_sector_is_the_one_known_and_an_earlier_session_assumes_the_first(market):
    insert(market, "companies", [
        {"cik": 50, "valid_from": day, "name": "Fifty", "sector": sector}
        for day, sector in ((SESSIONS[1], "Energy"), (SESSIONS[2], "Materials"), (date(2024, 3, 5), "Utilities"),
                            (date(2019, 1, 1), None))
    ])  # fmt: skip
    insert(market, "securities", [{"security_id": 50001, "cik": 50, "name": "Fifty", "type": "CS"}])
    insert(market, "stock_prices", [price(50001, day) for day in SESSIONS])
    rows = db.query(market, "score_universe", first=SESSIONS[0], last=SESSIONS[2]).filter(security_id=50001)
    assert rows.sort("session").select("sector", "sector_assumed").rows() == [
        ("Energy", True), ("Energy", False), ("Materials", False),
    ]  # fmt: skip


def test_scores_are_stored_and_shown_with_their_evidence(market):
    scores, inputs = scored(market, [SESSION])
    insert(market, "ic_scores", scores.to_dicts())
    insert(market, "score_inputs", inputs.to_dicts())
    insert(market, "ticker_history", [
        {"ticker": "NEW1", "valid_from": SESSIONS[2], "valid_to": None, "assumed": False, "security_id": 1001}
    ])  # fmt: skip
    rows = db.query(market, "scoreboard", session=SESSION)
    assert rows.height == SECURITIES
    assert rows["overall_score"].is_sorted(descending=True)
    assert rows.filter(security_id=1001)["ticker"].item() == "T1"  # its ticker on the session
    assert "Company 24" in board.text(rows, SESSION)
    with market.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT raw, peer_group, n, percentile, source_key FROM closingbell.score_inputs_by_metric "
            "WHERE security_id = 24001 AND metric = 'net_margin'"
        ).one()
    # twelve utilities, the best of them: (12 - 0.5) / 12 * 100
    source = ["financials", 24, "2023-09-30", "TTM", "2023-11-09"]
    assert tuple(found) == (0.24, "Utilities", 12, 11.5 / 12 * 100, source)
    # a yield of a balance without twelve months leads to its quarter
    with market.begin() as connection:
        connection.exec_driver_sql("DELETE FROM closingbell.financials WHERE cik = 24 AND period_type = 'TTM'")
        connection.exec_driver_sql("UPDATE closingbell.valuation_ratios SET statement_known_on = '2023-11-09'")
        known_at = connection.exec_driver_sql(
            "SELECT known_at FROM closingbell.score_inputs_by_metric "
            "WHERE security_id = 24001 AND metric = 'earnings_yield'"
        ).scalar_one()
    assert known_at == datetime(2023, 11, 9, 12, tzinfo=UTC)


@pytest.fixture
def on_the_board(market, monkeypatch, tmp_path):
    """The market with its scores stored, in a stack that is only pretended, where the command's loads do nothing."""
    scores, _ = scored(market, [SESSION])
    insert(market, "ic_scores", scores.to_dicts())
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setattr(partitions, "claimed_by_command", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(base, "run_load", lambda *_, **__: {})
    return market


def tickers_in(board_text: str) -> set[str]:
    return set(re.findall(r"^ +\d+ (T\d+)", board_text, re.M))


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--sector", "oil & gas"], {f"T{n}" for n in range(1, SECURITIES + 1, 2)}),
        (["--limit", "3"], {"T1", "T10", "T11"}),  # the first by ticker
        (["--ticker", "T2,T5"], {"T2", "T5"}),
        (["--all"], {f"T{n}" for n in range(1, SECURITIES + 1)}),
    ],
)
def test_the_command_prints_the_scores_it_was_asked_for(on_the_board, options, shown, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["closingbell", "scores", *options, "--session", SESSION.isoformat()])
    with contextlib.suppress(SystemExit):
        cli.main()
    assert tickers_in(capsys.readouterr().out) == shown


def scores_of_members(monkeypatch, capsys) -> tuple[set[str], str]:
    monkeypatch.setattr(sys, "argv", ["closingbell", "scores", "--sp500", "--session", SESSION.isoformat()])
    with contextlib.suppress(SystemExit):
        cli.main()
    said = capsys.readouterr()
    return tickers_in(said.out), said.err


def test_members_before_the_first_list_are_its_survivors_and_the_command_says_so(on_the_board, monkeypatch, capsys):
    assert "no list of the S&P 500 is loaded: run universe first" in scores_of_members(monkeypatch, capsys)[1]

    def member(number: int, valid_from: date) -> dict:
        return {"index_name": "sp500", "security_id": number * 1000 + 1, "valid_from": valid_from, "valid_to": None}

    insert(on_the_board, "index_members", [member(1, AT.date())])  # the list names no day for it
    shown, said = scores_of_members(monkeypatch, capsys)
    assert shown == set()
    assert f"error: no member of the S&P 500 is known on {SESSION}: the list was first read on 2024-03-0" in said
    insert(on_the_board, "index_members", [member(2, date(2019, 1, 2)), member(3, date(2020, 1, 2))])
    shown, said = scores_of_members(monkeypatch, capsys)
    assert shown == {"T2", "T3"}
    assert f"S&P 500 on {SESSION}: the 2 of them that were members still on" in said
    assert "survivors only" in said
    with on_the_board.begin() as connection:
        connection.exec_driver_sql("UPDATE closingbell.index_members SET fetched_at = '2024-02-01'")
    assert "S&P 500" not in scores_of_members(monkeypatch, capsys)[1]


@pytest.mark.parametrize("load", ["indicators", "valuation_ratios", "scores"])
def test_a_session_without_bars_is_refused_before_it_is_computed(load, market):
    def asked(**params: object) -> Run:
        span = {"first": SESSIONS[0].isoformat(), "last": "2024-03-05", **params}
        return Run(dag_id="d", run_id="r", partition_key="x", engine=market, landing=Landing("x", market), params=span)

    with pytest.raises(ValueError, match=r"^no prices of 2024-03-05: run market_close"):
        base.plan(LOADS[load], asked())
    assert base.plan(LOADS[load], asked(dry_run=True))  # market_close has published none in its own dry run
    assert base.plan(LOADS[load], asked(last=SESSIONS[2].isoformat()))


def test_the_demo_prints_the_tickers_it_was_given(on_the_board, monkeypatch):
    monkeypatch.setattr(stack.State, "warehouse_url", lambda _: str(settings().database_url))
    monkeypatch.setattr(demo, "libpq_url", lambda _: "postgresql:///cb")
    state = stack.State(spec=stack.Spec(), id="0", server="")
    assert tickers_in(demo.board(state, SESSION, ["T2", "T5"])) == {"T2", "T5"}
    assert tickers_in(demo.board(state, SESSION, [])) == {f"T{n}" for n in range(1, SECURITIES + 1)}
    with pytest.raises(demo.DemoFailed, match="no security of ZZZ has a score for"):
        demo.board(state, SESSION, ["ZZZ"])
