"""The universe from lists of several weeks: the answer behind each row, replay, failures, overrides, cut lists."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from load_steps import killed_before_publishing, loaded, rows
from sqlalchemy import text

from closingbell.audits import runner
from closingbell.hooks.errors import AuthFailed, RateLimited, ServerError
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base, universe
from closingbell.pipelines.base import Run
from closingbell.universe import compute, parse
from closingbell.universe.compute import FIRST
from closingbell.warehouse import db, load, overrides

LOAD = LOADS["universe"]
WEEKS = [
    datetime(2023, 3, 4, 12, tzinfo=UTC),
    datetime(2024, 3, 2, 12, tzinfo=UTC),
    datetime(2025, 12, 6, 12, tzinfo=UTC),
]


@pytest.fixture
def run(sandbox, database, tmp_path):
    """Makes runs of the simulated market."""

    def make(run_id: str, **params) -> Run:
        return Run(
            dag_id="universe", run_id=run_id, partition_key=run_id, engine=database,
            landing=Landing(str(tmp_path), database), params=params,
        )  # fmt: skip

    return make


def table(engine, name: str) -> list[str]:
    statement = f"SELECT (to_jsonb(t) - 'landing_id' - 'fetched_at')::text FROM closingbell.{name} t ORDER BY 1"
    return [row for (row,) in rows(engine, statement)]


def changed(counts: dict) -> set[int]:
    return {found[name] for found in counts.values() for name in ("inserted", "updated", "deleted")}


def test_rows_name_their_answer_and_a_replay_of_three_runs_gives_them_again(run, sandbox, database, monkeypatch):
    _, box = sandbox
    for number, clock in enumerate(WEEKS):
        box.clock = clock
        base.run_load(LOAD, run(f"week {number}"))
    sources = {
        name: {
            endpoint
            for (endpoint,) in rows(
                database, f"SELECT l.endpoint FROM closingbell.{name} JOIN ops.landings l USING (landing_id)"
            )
        }
        for name in universe.TABLES
    }
    assert sources == {
        "companies": {"submissions"},
        "securities": {"tickers"},
        "class_shares": {"ticker_details"},
        "ticker_history": {"tickers", "ticker_events"},
        "index_members": {"sp500"},
    }
    mismatched = """
        SELECT c.cik FROM closingbell.companies c JOIN ops.landings l USING (landing_id) WHERE c.cik <> l.key::bigint
    """
    assert rows(database, mismatched) == []
    days = {day for (day,) in rows(database, "SELECT valid_from FROM closingbell.class_shares")}
    assert len(days) == 3  # a newer count is another row

    held = {name: table(database, name) for name in universe.TABLES}
    assert changed(base.replay(LOAD, run("replay"))) == {0}
    with database.begin() as connection:
        for statement in (
            "UPDATE closingbell.companies SET valid_from = valid_from - 900 WHERE cik % 2 = 0",
            "DELETE FROM closingbell.companies WHERE cik % 3 = 0",
            "UPDATE closingbell.ticker_history SET valid_to = '2024-01-05', assumed = NOT assumed",
            "DELETE FROM closingbell.index_members WHERE security_id % 2 = 0",
            "UPDATE closingbell.index_members SET valid_to = '2025-01-05' WHERE valid_to IS NULL",
            "DELETE FROM closingbell.class_shares WHERE valid_from > '2024-01-01'",
        ):
            connection.execute(text(statement))
    base.replay(LOAD, run("mended"))
    assert {name: table(database, name) for name in universe.TABLES} == held

    gone = rows(database, "SELECT ticker FROM closingbell.ticker_history WHERE valid_to IS NULL ORDER BY 1")[0][0]
    polygon_tickers, company_tickers = parse.polygon_tickers, parse.company_tickers
    without = pl.col("ticker") != gone
    monkeypatch.setattr(parse, "polygon_tickers", lambda body: polygon_tickers(body).filter(without))
    monkeypatch.setattr(parse, "company_tickers", lambda body: company_tickers(body).filter(without))
    base.replay(LOAD, run("without"))
    left = "SELECT count(*) FROM closingbell.ticker_history WHERE ticker = :ticker"
    assert rows(database, left, ticker=gone) == [(0,)]
    assert set(table(database, "class_shares")) <= set(held["class_shares"])  # ids are those of before


def test_runs_that_ended_between_two_tables_are_made_good_by_the_next_one(
    run, sandbox, database, new_database, migrated_template, monkeypatch, tmp_path
):
    """No listing has a FIGI here, as without Polygon: who it is, its ticker tells, which is published last."""
    monkeypatch.setattr(runner, "_checkpoint", lambda *_: [])  # so many runs are about rows, not about expectations
    for name in ("polygon_tickers", "ticker_details"):
        monkeypatch.setattr(parse, name, _without_figis(getattr(parse, name)))
    _, box = sandbox
    undisturbed = db.engine(new_database(migrated_template))
    landing = Landing(str(tmp_path / "undisturbed"), undisturbed)
    for clock, ended_before in ((WEEKS[0], universe.TABLES[1:]), (WEEKS[2], ("ticker_history",))):
        box.clock = clock
        base.run_load(LOAD, dataclasses.replace(run(f"{clock:%Y}"), engine=undisturbed, landing=landing))
        for table_ in ended_before:
            with killed_before_publishing(table_):
                base.run_load(LOAD, run(f"{clock:%Y}, killed before {table_}"))
        base.run_load(LOAD, run(f"{clock:%Y}, next"))
        for name in universe.TABLES:
            assert table(database, name) == table(undisturbed, name)
    assert changed(base.replay(LOAD, run("replay"))) == {0}


def _without_figis(read: Callable[..., pl.DataFrame]) -> Callable[..., pl.DataFrame]:
    return lambda *args, **options: read(*args, **options).with_columns(figi=pl.lit(None, pl.String))


def test_an_event_that_fails_is_asked_for_again_and_a_plan_without_events_is_no_failure(run, database, monkeypatch):
    failing: dict[str, Exception | bytes] = {}
    asked: list[str] = []
    open_hook = universe.open_hook

    class Polygon:
        def __init__(self, hook):
            self.hook = hook

        def __getattr__(self, name):
            return getattr(self.hook, name)

        def ticker_events(self, ticker):
            asked.append(ticker)
            answer = self.hook.ticker_events(ticker)
            said = failing.get(ticker) or failing.get("*")
            if isinstance(said, Exception):
                raise said
            return answer if said is None else dataclasses.replace(answer, body=said)

    monkeypatch.setattr(
        universe,
        "open_hook",
        lambda conn, engine: Polygon(open_hook(conn, engine)) if conn == "polygon" else open_hook(conn, engine),
    )
    failing["*"] = RateLimited("polygon", "ticker_events", "X", 429, "slow down")
    with pytest.raises(RateLimited):
        base.run_load(LOAD, run("limited"))
    failing["*"] = ServerError("polygon", "ticker_events", "X", 503, "down")
    with pytest.raises(Exception, match="none of"):
        base.run_load(LOAD, run("down"))
    failing["*"] = AuthFailed("polygon", "ticker_events", "X", 403, "the plan lacks it")
    del asked[:]
    base.run_load(LOAD, run("no plan"))
    assert len(asked) == 1  # one refusal is everybody's
    _clear(database)

    del failing["*"], asked[:]
    batches = base.plan(LOAD, run("which"))
    universe.land(run("which"), batches[0])
    cut, down = sorted(set(asked))[:2]
    _clear(database, landed=True)
    failing |= {cut: b'{"results": {}}', down: ServerError("polygon", "ticker_events", down, 500, "down")}
    base.run_load(LOAD, run("first"))
    pending = "SELECT key FROM ops.fetch_failures WHERE endpoint = 'ticker_events' AND resolved_at IS NULL ORDER BY 1"
    assert rows(database, pending) == [(cut,), (down,)]
    failing.clear()
    del asked[:]
    with killed_before_publishing("ticker_history"):
        base.run_load(LOAD, run("killed"))
    assert sorted(asked) == [cut, down]  # the others are known
    assert rows(database, pending) == []
    published = (
        "SELECT key FROM ops.landings JOIN ops.published_landings USING (landing_id) "
        f"WHERE table_name = 'ticker_history' AND endpoint = 'ticker_events' AND key IN ('{cut}', '{down}')"
    )
    assert rows(database, published) == [(cut,)]  # what could not be read
    base.run_load(LOAD, run("second"))
    assert sorted(rows(database, published)) == [(cut,), (cut,), (down,)]
    del asked[:]
    base.run_load(LOAD, run("third"))
    assert asked == []
    with database.begin() as connection:  # the ticker was another company's up to now
        connection.execute(
            text(
                "UPDATE closingbell.securities SET cik = 1 WHERE security_id = "
                "(SELECT security_id FROM closingbell.ticker_history WHERE ticker = :ticker AND valid_to IS NULL)"
            ),
            {"ticker": cut},
        )
        connection.execute(
            text("DELETE FROM ops.landings WHERE endpoint = 'ticker_events' AND key = :key"), {"key": cut}
        )
    base.land(LOAD, run("fourth"), base.plan(LOAD, run("fourth"))[0])
    assert asked == [cut]


def _clear(engine, *, landed: bool = False) -> None:
    with engine.begin() as connection:
        for name in universe.TABLES:
            connection.execute(text(f"DELETE FROM closingbell.{name}"))
        connection.execute(text("DELETE FROM ops.fetch_failures"))
        if landed:
            connection.execute(text("DELETE FROM ops.landings WHERE endpoint = 'ticker_events'"))


def test_an_operators_ticker_is_the_same_everywhere(database):
    day = date(2024, 6, 10)
    securities = pl.DataFrame({"security_id": [1001, 2001], "cik": [1, 2], "name": ["A", "B"], "type": ["CS", "CS"]})
    history = pl.DataFrame(
        {"ticker": ["AAA", "BBB"], "valid_from": [date(2000, 1, 3)] * 2, "security_id": [1001, 2001]}
    )
    lineage = [pl.lit(1).alias("landing_id"), pl.lit(datetime(2024, 6, 1, tzinfo=UTC)).alias("fetched_at")]
    loaded(database, "s", securities.with_columns(pl.lit(1.0).alias("shares_per_base"), *lineage), table="securities")
    loaded(database, "t", history.with_columns(lineage), table="ticker_history")
    with database.begin() as connection:
        connection.execute(
            text("UPDATE closingbell.securities SET last_session = '2024-05-31' WHERE security_id = 1001")
        )
        connection.execute(
            text(
                "INSERT INTO closingbell.ic_scores (security_id, session, sector_assumed, overall_score, rating, "
                "data_completeness, confidence, known_at, fetched_at) "
                "SELECT security_id, :day, false, 50, 'Hold', 0.5, 'Low', now(), now() FROM closingbell.securities"
            ),
            {"day": day},
        )

    def seen() -> tuple:
        tickers = ["AAA"]
        listed = db.query(database, "listed_tickers", session=day, tickers=tickers)
        asked = db.query(
            database, "securities_asked_for", session=day, tickers=tickers, sector=None, sp500=False, limit=9
        )
        board = db.query(database, "scoreboard", session=day)
        return (
            listed["security_id"].to_list(),
            db.query(database, "ciks_of_tickers", tickers=tickers)["cik"].to_list(),
            asked["security_id"].to_list(),
            dict(board.select("security_id", "ticker").rows())[2001],
        )

    assert seen() == ([], [1], [1001], "BBB")
    mapped = {"ticker": "AAA", "security_id": 2001, "valid_from": day - timedelta(days=7)}
    first = overrides.add(database, "map_ticker", mapped, reason="renamed", author="me")
    assert seen() == ([2001], [1, 2], [2001], "AAA")
    # a later mapping ends an earlier one; ended ones are gone
    second = overrides.add(
        database, "map_ticker", mapped | {"security_id": 1001, "valid_from": day}, reason="back", author="me"
    )
    history = db.query(database, "ticker_history").filter(pl.col("ticker") == "AAA")
    assert history.select("valid_from", "valid_to", "security_id").rows() == [
        (date(2000, 1, 3), date(2024, 6, 2), 1001),
        (date(2024, 6, 3), date(2024, 6, 9), 2001),
        (day, None, 1001),
    ]
    for override_id in (first, second):
        overrides.end(database, override_id, author="me")
    assert seen() == ([], [1], [1001], "BBB")


def test_a_corrected_delisting_takes_back_the_days_that_another_company_was_given(database):
    active = {"ticker": "XYZ", "cik": 100, "name": "A", "figi": "F1", "type": "CS", "active": True}
    delisted = {"ticker": "XYZ", "cik": 200, "name": "B", "figi": "F2", "type": "CS", "active": False}
    born = pl.DataFrame([delisted | {"valid_from": date(2020, 1, 2)}], schema=parse.TICKER_EVENTS)
    for number, ends in enumerate((date(2021, 12, 31), date(2022, 6, 30))):
        known = [
            db.query(database, f"{name}_rows").cast(pl.Schema(universe.SCHEMAS[name] | base.LINEAGE))
            for name in ("securities", "ticker_history")
        ]
        listed = pl.DataFrame([active, delisted | {"delisted_on": ends}], schema=parse.POLYGON_TICKERS)
        found = compute.securities(compute.listings(polygon=listed), *known, on=date(2025, 6, 7 + number), events=born)
        lineage = {"landing_id": pl.lit(number), "fetched_at": pl.lit(datetime(2025, 6, 7 + number, tzinfo=UTC))}
        for name in ("securities", "ticker_history"):
            loaded(database, f"{name} {number}", getattr(found, name).with_columns(**lineage), table=name)
    assert db.query(database, "ticker_history").select("valid_from", "valid_to", "security_id").rows() == [
        (FIRST, date(2020, 1, 1), 100001),
        (date(2020, 1, 2), date(2022, 6, 30), 200001),
        (date(2022, 7, 1), None, 100001),
    ]


def test_a_cut_list_ends_no_memberships(database):
    def listed(run_id: str, kept: int) -> None:
        members = pl.DataFrame({"index_name": ["sp500"] * 503, "security_id": range(1001, 1504)}).with_columns(
            valid_from=pl.lit(date(2020, 1, 2)),
            valid_to=pl.when(pl.col("security_id") >= 1001 + kept).then(pl.lit(date(2024, 6, 7))),
            landing_id=pl.lit(1),
            fetched_at=pl.lit(datetime(2024, 6, 8, tzinfo=UTC)),
        )
        loaded(database, run_id, members, table="index_members")

    listed("whole", 503)
    with pytest.raises(load.AuditFailed, match=r"members_stay.*came cut"):
        listed("cut", 400)
    listed("some left", 480)
    assert rows(database, "SELECT count(*) FROM closingbell.index_members WHERE valid_to IS NULL") == [(480,)]


def test_a_fortune_500_without_symbols_gives_sectors_by_name(run, database, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_checkpoint", lambda *_: [])
    listed = {"0": {"cik_str": 320193, "ticker": "AAPL", "title": "Apple Inc."}}
    listed["1"] = {"cik_str": 104169, "ticker": "WMT", "title": "Walmart Inc."}
    (tmp_path / "company_tickers.json").write_text(json.dumps(listed))
    ranked = "rank,name,sector\n1,WALMART,Consumer Staples\n2,APPLE,Information Technology\n"
    (tmp_path / "fortune500.csv").write_text(ranked)
    files = [str(tmp_path / name) for name in ("company_tickers.json", "fortune500.csv")]
    base.run_load(LOAD, run("files", from_files=files, tickers=["WMT"]))
    base.run_load(LOAD, run("files of everybody", from_files=files))
    assert rows(database, "SELECT cik, sector, sector_source FROM closingbell.companies ORDER BY 1") == [
        (104169, "Consumer Staples", "operator"),
        (320193, "Information Technology", "operator"),
    ]


def test_all_that_is_missing_of_a_list_is_one_record(caplog):
    body = "rank,name\n" + "\n".join(f"{rank},Nobody {rank}" for rank in range(1, 401))
    ranked = parse.fortune500(body.encode())
    unmatched = pl.DataFrame(
        [("unmatched", name, "is no security here") for name in ranked.rows["name"]],
        schema=parse.PROBLEMS,
        orient="row",
    )
    with caplog.at_level(logging.WARNING):
        universe._say([ranked.problems, unmatched])
    ranks, names = (record.getMessage() for record in caplog.records)
    assert ranks.startswith("missing_ranks, 1: ")
    assert "401-500" in ranks
    assert names.startswith("unmatched, 400: Nobody 1: ")
    assert "Nobody 400: " in names
