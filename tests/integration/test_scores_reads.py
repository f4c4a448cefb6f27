"""The scoring reads on a real PostgreSQL: what a session may see, from tables to published rows and back."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from datetime import UTC, date, datetime, timedelta
from functools import partial

import polars as pl
import pytest
from score_rows import (
    AT,
    CLOSE,
    CLOSES,
    SESSION,
    SESSIONS,
    activity,
    consensus,
    holding,
    indicator,
    insert,
    landed,
    mood,
    opinion,
    owned,
    price,
    rating,
    report,
    scored,
    statement,
    trade,
    valuation,
)
from sqlalchemy import Engine, text

from closingbell import cli, demo, stack
from closingbell.landing import Landing
from closingbell.orchestration import partitions
from closingbell.pipelines import LOADS, base, score_reads, scores
from closingbell.pipelines.base import Run
from closingbell.scores import board
from closingbell.scores.factors import FACTORS
from closingbell.settings import settings
from closingbell.stack import record
from closingbell.warehouse import db
from fixtures import plain_board

SECURITIES = 24


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
    insert(database, "analyst_consensus", [consensus(i * 1000 + 1, day, i) for i in ids for day in SESSIONS])
    insert(database, "insider_activity", [activity(i * 1000 + 1, day, i) for i in ids if i % 4 for day in SESSIONS])
    insert(database, "institutional_ownership", [owned(i * 1000 + 1, SESSIONS[0], i) for i in ids])
    insert(database, "sentiment_daily", [mood(i * 1000 + 1, day, i) for i in ids for day in SESSIONS])
    ends = [date(2018 + n // 4, 3 * (n % 4) + 3, 30) for n in range(23)]  # to 2023-09-30
    insert(database, "financials", [
        statement(i, end, kind, datetime(end.year, end.month, end.day, 12, tzinfo=UTC) + timedelta(days=40),
                  revenue=100.0 + n * i, eps_diluted=1.0 + n * i / 10, net_margin=i / 100, current_ratio=1 + i / 10)
        for i in ids for n, end in enumerate(ends) for kind in ("Q", "TTM")
    ])  # fmt: skip
    return database


def test_nothing_known_later_moves_a_score(market):
    before = scored(market, [SESSION])
    assert before[0].height == SECURITIES
    assert before[0]["data_completeness"].unique().to_list() == [1.0]
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
    insert(market, "analyst_consensus", [consensus(4001, after_session, 30)])
    insert(market, "insider_activity", [activity(5001, after_session, 9e4)])
    insert(market, "sentiment_daily", [mood(4001, after_session, 30, later)])
    insert(market, "institutional_ownership", [owned(4001, SESSIONS[2], 29)])
    # of the session itself, but known a minute after its close: as if its table had been made too late
    insert(market, "insider_activity", [activity(4001, SESSION, 9e4) | {"known_at": later}])
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
    assert json.loads(texts[4001])["institutional_holders"][0] == 29
    # without a row where the window is whole no insider traded: the lowest of twelve, with five others, 3 / 12
    assert json.loads(dict(after[1].select("security_id", "inputs").iter_rows())[4001])["insider_buying_30d"] == [
        0.0, "Utilities", 12, 25.0, ["insider_trades", 4001, "2023-12-03", "2024-03-01"],
    ]  # fmt: skip


def test_scores_equal_the_plain_implementation_on_the_same_tables(market):
    for session in SESSIONS:
        expected = plain_board.board(plain_board.of_warehouse(market, session), session, CLOSES[session])
        ic_scores, score_inputs = scored(market, [session])
        assert len(expected) == SECURITIES
        assert plain_board.differences(expected, ic_scores.to_dicts(), score_inputs.to_dicts()) == []


def test_a_run_reads_the_versions_of_statements_once_and_steps_through_its_sessions(market, monkeypatch):
    asked, query = [], db.query
    monkeypatch.setattr(db, "query", lambda engine, name, **params: asked.append(name) or query(engine, name, **params))
    monkeypatch.setattr(scores, "SESSIONS_PER_BATCH", 1)
    run = Run(
        dag_id="scores", run_id="a backfill", partition_key=str(SESSION), engine=market, landing=Landing("x", market),
        params={"first": str(SESSIONS[0]), "last": str(SESSIONS[-1])},
    )  # fmt: skip
    batches = scores.plan_sessions(run)
    assert len(batches) == len(SESSIONS) > 1
    stepped = [dict(scores.frames(run, batch)) for batch in batches]
    assert asked.count("score_financials") == asked.count("price_splits") == 1
    at_once = scored(market, SESSIONS)
    for name, whole in zip(("ic_scores", "score_inputs"), at_once, strict=True):
        key = ["session", "security_id"]
        assert pl.concat([found[name] for found in stepped]).sort(key).equals(whole.sort(key))


def test_each_metric_leads_to_the_filings_ratings_and_articles_that_were_known(market):
    """One of each a minute before the close, one a minute after it."""
    moments = {"before": CLOSE - timedelta(minutes=1), "after": CLOSE + timedelta(minutes=1)}
    insert(market, "insider_trades", [
        trade(1001, at, accession_no=f"trade {name}", transaction_date=SESSION) for name, at in moments.items()
    ])  # fmt: skip
    with market.begin() as connection:
        connection.execute(
            text("UPDATE closingbell.insider_activity SET known_at = :at WHERE security_id = 1001"),
            {"at": moments["before"]},
        )
    insert(market, "institutional_holdings", [
        holding(1001, 7, at, accession_no=f"holding {name}")
        for name, at in (moments | {"long ago": CLOSES[SESSIONS[0]]}).items()
    ])  # fmt: skip
    insert(market, "analyst_ratings", [
        rating(1001, at, rating_id=name, url=f"https://example.com/{name}") for name, at in moments.items()
    ])  # fmt: skip
    with market.begin() as connection:  # one that was known before, and is corrected after
        first = rating(1001, moments["before"], rating_id="corrected", url="https://example.com/first")
        replaced = (
            "INSERT INTO ops.revisions (stage_id, table_name, key, old_row) VALUES ('', 'analyst_ratings', :k, :r)"
        )
        key = {name: first[name] for name in ("vendor", "rating_id")}
        connection.execute(text(replaced), {"k": json.dumps(key), "r": json.dumps(first, default=str)})
    insert(market, "analyst_ratings", [first | {"known_at": moments["after"], "url": "https://example.com/second"}])
    insert(market, "news_sentiment", [
        opinion(1001, at) | {"article_id": number} for number, at in enumerate(moments.values(), 1)
    ])  # fmt: skip
    scores, inputs = scored(market, [SESSION])
    insert(market, "ic_scores", scores.to_dicts())
    insert(market, "score_inputs", inputs.to_dicts())
    with market.connect() as connection:
        found = connection.execute(
            text("SELECT metric, kind, key, known_at, url FROM closingbell.score_evidence WHERE security_id = 1001")
        ).all()
        wide = connection.execute(
            text(
                "SELECT metric, accession_nos, articles, ratings, known_at FROM closingbell.score_inputs_by_metric"
                " WHERE security_id = 1001"
            )
        ).all()
    evidence: dict[str, set] = {}
    for row in found:
        evidence.setdefault(row.metric, set()).add((row.kind, row.key))
        assert row.known_at <= CLOSE, row
    assert evidence["insider_buying_30d"] == {("filing", "trade before")}
    # the row has stood since the session before: what it was made of was known then
    assert evidence["institutional_share"] == {("filing", "holding long ago")}
    assert evidence["analyst_rating"] == {
        ("rating", "benzinga:before"), ("rating", "benzinga:corrected"), ("bar", "2024-03-01")
    }  # fmt: skip
    assert evidence["news_sentiment_7d"] == {("article", "1")}
    assert evidence["net_margin"] == {("filing", "0000000001-23-TTM")}
    assert {row.url for row in found if row.kind == "rating"} == {
        "https://example.com/before", "https://example.com/first"
    }  # fmt: skip
    by_metric = {row.metric: row for row in wide}
    assert set(by_metric) == set(json.loads(dict(inputs.select("security_id", "inputs").iter_rows())[1001]))
    assert by_metric["insider_buyers"].accession_nos == ["trade before"]
    assert by_metric["news_sentiment_30d"].articles == [1]
    assert by_metric["target_upside"].ratings == ["benzinga:before", "benzinga:corrected"]
    assert by_metric["target_upside"].known_at == moments["before"]


def test_a_filing_accepted_a_minute_before_the_close_counts(market):
    insert(market, "financials", [
        statement(1, date(2023, 12, 31), "TTM", CLOSE - timedelta(minutes=1), net_margin=0.77),
        statement(2, date(2023, 12, 31), "TTM", CLOSE + timedelta(minutes=1), net_margin=0.77),
    ])  # fmt: skip
    texts = dict(scored(market, [SESSION])[1].select("security_id", "inputs").iter_rows())
    assert json.loads(texts[1001])["net_margin"][0] == 0.77
    assert json.loads(texts[1001])["net_margin"][4] == ["financials", 1, "2023-12-31", "TTM", "2024-03-01"]
    assert json.loads(texts[2001])["net_margin"][0] == 0.02


def test_what_was_accepted_or_told_a_minute_before_the_close_counts_and_a_minute_after_it_does_not(
    database, landing, monkeypatch
):
    """A Form 4, a 13F, a rating and an article of each of three shares, through their own loads into the scores."""
    moments = {1001: CLOSE - timedelta(minutes=1), 2001: CLOSE, 3001: CLOSE + timedelta(minutes=1)}
    monkeypatch.setenv("CLOSINGBELL_MARKET_ENDS_ON", SESSIONS[-1].isoformat())
    settings.cache_clear()
    insert(database, "securities", [
        {"security_id": id_, "cik": id_ // 1000, "name": f"Company {id_}", "type": "CS"} for id_ in moments
    ])  # fmt: skip
    for table, row in (("stock_prices", price), ("valuation_ratios", partial(valuation, number=1))):
        insert(database, table, [row(id_, day) for id_ in moments for day in SESSIONS])
    document = landed(database, "insider_trades", "sec_edgar", "ownership", "a document")
    landed(database, "insider_trades", "sec_edgar", "daily_index", "2023-06-01")
    calendar = landed(database, "analyst_ratings", "benzinga", "calendar_ratings", "a page")
    told = moments.items()
    insert(database, "insider_trades", [trade(id_, at, landing_id=document) for id_, at in told])
    insert(database, "institutional_filings", [report(id_, at) for id_, at in told])
    insert(database, "institutional_holdings", [holding(id_, id_, at) for id_, at in told])
    insert(database, "analyst_ratings", [rating(id_, at, landing_id=calendar) for id_, at in told])
    insert(database, "news_sentiment", [opinion(id_, at) for id_, at in told])
    for name in ("insider_activity", "institutional_ownership", "analyst_consensus", "sentiment_daily"):
        run = base.Run(
            dag_id=name, run_id="one", partition_key=str(SESSIONS[-1]), engine=database, landing=landing
        )  # fmt: skip
        base.run_load(LOADS[name], run)
    inputs = scored(database, SESSIONS)[1]
    found = {(id_, day): json.loads(row) for id_, day, row in inputs.select("security_id", "session", "inputs").rows()}
    metrics = ("insider_buying_30d", "institutional_holders", "analyst_rating", "news_sentiment_7d")
    raws = {at: tuple(row[name][0] if name in row else None for name in metrics) for at, row in found.items()}
    counted, not_counted = (1000 / 1e9, 1.0, 5.0, 0.5), (0.0, None, None, None)  # no trade is 0 dollars bought
    assert not [day for _, day in raws if day < SESSION]
    assert [raws[id_, SESSION] for id_ in moments] == [counted, counted, not_counted]
    assert [raws[id_, SESSIONS[2]] for id_ in moments] == [counted] * 3


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
    assert universe.filter(security_id=90006).row(0) == (90006, SESSION, None, None, False, 10.0, False)


@pytest.mark.parametrize(
    ("forms", "files"),
    [
        ({"10-K": 300, "10-Q": 30}, True),
        ({"20-F": 300, "6-K": 30}, False),
        ({"40-F/A": 300}, False),
        ({"6-K": 30}, False),  # listed this year
        ({"20-F": 700, "10-K": 300}, True),  # no foreign private issuer any more
        ({"10-K": 300, "20-F": -1}, True),  # on the day after
        ({"S-1": 30}, True),
    ],
)
def test_insiders_of_a_company_that_reports_as_a_foreign_one_need_not_file(market, forms, files):
    """Without a trade nothing is said of them, and no zero."""
    with market.begin() as connection:
        connection.exec_driver_sql("DELETE FROM closingbell.insider_activity WHERE security_id = 5001")
    insert(market, "filings", [
        {"accession_no": form, "cik": 5, "form": form, "filed_on": SESSION - timedelta(days=days),
         "known_at": CLOSE - timedelta(days=days), "known_at_source": "acceptance_utc"}
        for form, days in forms.items()
    ])  # fmt: skip
    inputs = dict(scored(market, [SESSION])[1].select("security_id", "inputs").iter_rows())
    assert ("insider_buying_30d" in json.loads(inputs[5001])) == files
    plainly = plain_board.board(plain_board.of_warehouse(market, SESSION), SESSION, CLOSE)
    assert ("insider_buying_30d" in plainly[5001]["inputs"]) == files


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


def run_command(*arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["closingbell", *arguments])
    with contextlib.suppress(SystemExit):
        cli.main()
    return "".join(capsys.readouterr())


def ran(engine: Engine, at: datetime, *sessions: date) -> None:
    """A run of the scores that began to read then."""
    said = {"at": at, "expected": json.dumps({"sessions": [day.isoformat() for day in sessions]})}
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM ops.stages"))
        connection.execute(
            text(
                "INSERT INTO ops.stages (stage_id, dag_id, run_id, table_name, partition_key, status, opened_at,"
                " expected) VALUES ('s', 'scores', 'r', 'ic_scores', '', 'published', :at, CAST(:expected AS jsonb))"
            ),
            said,
        )


def test_why_a_score_changed_is_told_with_the_filing_that_came_in_between(market, monkeypatch, capsys, tmp_path):
    insert(market, "financials", [
        statement(1, date(2023, 12, 31), "TTM", CLOSE - timedelta(minutes=1), net_margin=0.77),
        statement(2, date(2023, 12, 31), "TTM", CLOSE + timedelta(minutes=1), net_margin=0.77),
    ])  # fmt: skip
    scores, inputs = scored(market, SESSIONS[:2])
    insert(market, "ic_scores", scores.to_dicts())
    insert(market, "score_inputs", inputs.to_dicts())
    ran(market, AT + timedelta(hours=1), *SESSIONS[:2])
    overall = {(id_, day): score for id_, day, score in scores.select("security_id", "session", "overall_score").rows()}
    for id_ in range(1, SECURITIES + 1):
        found = score_reads.changed(market, f"T{id_}", SESSION)
        change = overall[id_ * 1000 + 1, SESSION] - overall[id_ * 1000 + 1, SESSIONS[0]]
        assert found.points == pytest.approx(change)
        assert found.parts["part"].sum() == pytest.approx(change)
    first = score_reads.changed(market, "T1", SESSION)
    assert first.parts.row(0, named=True)["metric"] == "net_margin"
    assert first.points > 0
    assert first.evidence["net_margin"] == [
        {"metric": "net_margin", "total": 1, "kind": "filing", "key": "0000000001-24-TTM",
         "known_at": CLOSE - timedelta(minutes=1)}
    ]  # fmt: skip
    assert "net_margin" not in score_reads.changed(market, "T2", SESSION).evidence  # a minute too late
    monkeypatch.setattr(record, "ROOT", tmp_path)
    told = run_command("changes", "t1", "--session", str(SESSION), monkeypatch=monkeypatch, capsys=capsys)
    assert "filing 0000000001-24-TTM, 2024-03-01 20:59 UTC" in told
    assert f"{first.points:+.2f}" in told
    assert "tale" not in told
    # what was loaded after it was made
    ran(market, AT - timedelta(hours=1), *SESSIONS[:2])
    late, anew = "known by the close were loaded after the score", "were made anew after the score"
    stale = [f"holdings {late}", f"indicators {anew}", f"insider trades {late}", f"market values {anew}",
             f"news {late}", f"ratings {late}"]  # fmt: skip
    assert score_reads.changed(market, "T1", SESSION).stale == stale
    told = run_command("changes", "T1", "--session", str(SESSION), monkeypatch=monkeypatch, capsys=capsys)
    assert f"Stale: {'; '.join(stale)}. reconcile scores sessions of the last 400 days again" in told
    told = run_command("board", "--session", str(SESSION), monkeypatch=monkeypatch, capsys=capsys)
    assert f"Stale: {'; '.join(stale)}. reconcile scores sessions of the last 400 days again" in told
    for ticker, day, why in (
        ("T1", SESSIONS[0], "no score before 2024-02-29"), ("T1", SESSIONS[2], "no score for 2024-03-04"),
        ("ZZZ", SESSION, "ZZZ has no score"),
    ):  # fmt: skip
        told = run_command("changes", ticker, "--session", str(day), monkeypatch=monkeypatch, capsys=capsys)
        assert why in told


def article(published_at: datetime) -> dict:
    return {
        "article_id": int(published_at.timestamp()), "title": "One", "url": "https://example.com/1", "told_at": CLOSE,
        "sources": [], "published_at": published_at, "vendors": [], "tickers": [],
    }  # fmt: skip


def test_what_is_loaded_no_more_or_with_holes_reaches_no_goal(market):
    def depths(at: date = SESSION) -> tuple[int | None, ...]:
        close = datetime(at.year, at.month, at.day, 21, tzinfo=UTC)
        return db.query(market, "coverage_depths", session=at, close=close).row(0)

    insert(market, "news_articles", [article(CLOSE - timedelta(days=days)) for days in (60, 55, 48, 43, 38, 0)])
    assert depths() == (90, 1, 1)  # nothing of the 37 days before
    insert(market, "news_articles", [article(CLOSE - timedelta(days=days)) for days in range(5, 38, 5)])
    assert depths() == (90, 1, 49)  # to the hole of seven days
    # sums of insiders stand for five days; news has a hole of six then
    assert depths(SESSIONS[2] + timedelta(days=5))[0] == 90
    assert depths(SESSIONS[2] + timedelta(days=6))[::2] == (None, None)
    # a quarter that a few filed under a wrong date, two that are whole, and one of years ago
    insert(market, "institutional_ownership", [
        owned(1001, SESSIONS[0], 5) | {"quarter": quarter, "filers": filers}
        for quarter, filers in ((date(2024, 3, 31), 44), (date(2023, 9, 30), 80), (date(2023, 3, 31), 85),
                                (date(2022, 12, 31), 85))
    ])  # fmt: skip
    assert depths()[1] == 3
    insert(market, "analyst_ratings", [
        rating(id_, CLOSE - timedelta(days=days), rated_at=CLOSE - timedelta(days=days))
        for id_, days in ((1001, 364), (2001, 367))
    ])  # fmt: skip
    rated = db.query(market, "coverage_tables", session=SESSION, close=CLOSE).filter(table_name="analyst_ratings")
    assert rated["security_id"].to_list() == [1001]


def test_coverage_counts_what_the_close_knew(market, monkeypatch, capsys, tmp_path):
    insert(market, "index_members", [
        {"index_name": "sp500", "security_id": id_, "valid_from": day}
        for id_, day in ((1001, SESSIONS[0]), (2001, SESSIONS[0]), (3001, SESSIONS[2]))
    ])  # fmt: skip
    later = CLOSE + timedelta(minutes=1)
    insert(market, "news_sentiment", [
        {"article_id": id_, "security_id": id_, "model": "lexicon", "model_version": "1", "score": 0.5, "known_at": at}
        for id_, at in ((1001, CLOSE - timedelta(days=3)), (2001, CLOSE), (3001, later))
    ])  # fmt: skip
    insert(market, "news_articles", [article(CLOSE - timedelta(days=days)) for days in range(29, 0, -5)])
    scores, inputs = scored(market, [SESSION])
    insert(market, "score_inputs", inputs.to_dicts())
    found = {(line.kind, line.name): line for line in score_reads.covered(market, SESSION)}
    news = found["table", "news_sentiment"]
    assert (news.have, news.of, news.members, news.of_members) == (2, SECURITIES, 2, 2)
    assert (news.newest, news.age) == (SESSION, 2)  # 3 days and 0: the middle is 1.5
    assert news.goals[0].words == "days: 30, goal 30"
    assert found["table", "insider_trades"].goals[0].words == "days: 90, goal 30"
    assert found["table", "institutional_ownership"].goals[0].words == "quarters: 1, goal 4"
    assert found["table", "financials"].newest == date(2023, 9, 30)
    assert {name: line.have for (kind, name), line in found.items() if kind == "factor"} == {
        factor.name: scores[factor.name].count() for factor in FACTORS
    }
    assert found["factor", "institutional"].newest == date(2023, 12, 31)
    assert found["factor", "insider_activity"].age == 0
    monkeypatch.setattr(record, "ROOT", tmp_path)
    told = run_command("coverage", "--session", str(SESSION), monkeypatch=monkeypatch, capsys=capsys)
    assert "MISSED: quarters: 1, goal 4" in told
    with pytest.raises(score_reads.NoScore, match="no share has a bar on 2024-03-05"):
        score_reads.covered(market, date(2024, 3, 5))
