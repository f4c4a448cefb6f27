"""Benzinga's ratings and their consensus: the simulated vendor's own account against what is published."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from load_steps import published_after
from sqlalchemy import Engine, text

from closingbell import connections
from closingbell.hooks import ALLOWANCES, open_hook
from closingbell.hooks.errors import AuthFailed, VendorError
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, analyst_ratings, base
from closingbell.pipelines.base import Run
from closingbell.sandbox.faults import rates
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.sessions import close_of, last_sessions
from closingbell.settings import settings
from closingbell.warehouse import db
from closingbell.warehouse.load import AuditFailed
from closingbell.warehouse.quota import QuotaExhausted

COLUMNS = [
    "rating_id", "figi", "ticker", "analyst_firm", "analyst_name", "action", "rating", "rating_numeric", "price_target",
    "price_target_before", "currency", "rated_at", "known_at",
]  # fmt: skip
COUNTED = ("firms", "rating_mean", "strong_buys", "buys", "holds", "sells", "strong_sells", "targets", "target_mean",
           "target_median")  # fmt: skip
SECURITY = text(
    "INSERT INTO closingbell.securities (security_id, cik, figi, name, type, fetched_at) "
    "VALUES (:security_id, :cik, :figi, :name, :type, :fetched_at)"
)
MEMBER = text(
    "INSERT INTO closingbell.index_members (index_name, security_id, valid_from, fetched_at) "
    "VALUES ('sp500', :security_id, '2020-01-02', :fetched_at)"
)
TICKER = text(
    "INSERT INTO closingbell.ticker_history (ticker, valid_from, valid_to, security_id, fetched_at) "
    "VALUES (:ticker, :valid_from, :valid_to, :security_id, :fetched_at)"
)
SPLIT = text(
    "INSERT INTO closingbell.corporate_actions (security_id, ex_date, kind, numerator, denominator, known_at, source, "
    "fetched_at) VALUES (:security_id, :ex_date, 'split', :numerator, :denominator, :fetched_at, 'truth', :fetched_at)"
)
FAULTS = '{"429": 0.2, "5xx": 0.2, "truncated": 0.2, "duplicates": 0.5, "retry_after": 0.1}'
LATER = datetime(2025, 12, 5, 23, tzinfo=UTC)


@dataclasses.dataclass
class Deployment:
    engine: Engine
    landing: Landing
    box: Sandbox
    market: Any
    runs: int = 0

    def run(self, name: str = "analyst_ratings", **params: Any) -> dict[str, Any]:
        self.runs += 1
        return base.run_load(LOADS[name], self.named(name, f"run {self.runs}", **params))

    def named(self, name: str, run_id: str, **params: Any) -> Run:
        return Run(
            dag_id=name, run_id=run_id, partition_key="2025-12-05", engine=self.engine, landing=self.landing,
            params=params,
        )  # fmt: skip

    def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement), values).mappings()]

    def ratings(self) -> list[tuple[Any, ...]]:
        """What stands: published and not removed."""
        found = self.rows(
            "SELECT r.*, s.figi FROM closingbell.analyst_ratings r "
            "LEFT JOIN closingbell.securities s USING (security_id) WHERE removed_at IS NULL"
        )
        return sorted((tuple(row[name] for name in COLUMNS) for row in found), key=str)

    def members(self) -> list[str]:
        """Tickers of the S&P 500 of today."""
        return [line.split(",")[0] for line in self.market.sp500_csv(self.box.clock).splitlines()[1:]]


def truth(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(frame.select(COLUMNS).rows(), key=str)


@pytest.fixture(scope="module")
def market() -> Any:
    return open_market("simulated", seed=7, companies=25)


@contextlib.contextmanager
def connected(market: Any, url: str, faults: str = "") -> Iterator[Sandbox]:
    box = Sandbox(market, mode="simulated", seed=7, faults=rates(faults) if faults else None)
    with pytest.MonkeyPatch.context() as environment, running(box) as address:
        for name, value in connections.environment(address).items():
            environment.setenv(name, value)
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        settings.cache_clear()
        yield box
    settings.cache_clear()


@pytest.fixture
def deployment(market, new_database, migrated_template, tmp_path) -> Iterator[Deployment]:
    with deployed(market, new_database(migrated_template), tmp_path / "landing") as found:
        yield found


@contextlib.contextmanager
def deployed(market: Any, url: str, folder: Path, faults: str = "") -> Iterator[Deployment]:
    """A warehouse that knows the market's shares, their tickers, the S&P 500 and the splits, and no rating."""
    with connected(market, url, faults) as box:
        engine = db.engine(url)
        found = Deployment(engine, Landing(str(folder), engine), box, market)
        now = {"fetched_at": box.clock}
        listed = market.truth.securities(box.clock).with_row_index("security_id", offset=1)
        ids = {row["figi"]: row["security_id"] for row in listed.iter_rows(named=True)}
        members = set(found.members())
        with engine.begin() as connection:
            for row in listed.iter_rows(named=True):
                connection.execute(SECURITY, row | now)
                if row["ticker"] in members:
                    connection.execute(MEMBER, row | now)
            for row in market.truth.tickers(box.clock).iter_rows(named=True):
                connection.execute(TICKER, row | now | {"security_id": ids[row["figi"]]})
            for row in market.truth.actions(box.clock).filter(pl.col("kind") == "split").iter_rows(named=True):
                if row["figi"] in ids:
                    connection.execute(SPLIT, row | now | {"security_id": ids[row["figi"]]})
        yield found


def a_year_before(clock: datetime) -> date:
    return clock.date().replace(year=clock.year - 1)


def test_an_empty_table_begins_with_a_year_of_the_sp500_and_equals_the_truth(deployment):
    """Firms' words on one scale, two currencies, dates without a time; a rerun changes nothing."""
    deployment.run()
    now, members = deployment.box.clock, deployment.members()
    ratings = deployment.market.ratings
    assert deployment.ratings() == truth(ratings.truth(now, members, since=a_year_before(now)))
    assert {row["currency"] for row in deployment.rows("SELECT currency FROM closingbell.analyst_ratings")} == {
        "USD", "CAD",
    }  # fmt: skip
    stored = deployment.rows("SELECT * FROM closingbell.analyst_ratings")
    assert {row["rated_at_source"] for row in stored} == {"time", "date_22"}

    asked = {ticker for row in asked_questions(deployment) for ticker in row["tickers"].split(",")}
    assert asked == set(members)
    assert no_change(deployment.run(sp500=True))


def test_a_window_of_many_pages_is_whole(deployment, monkeypatch):
    monkeypatch.setattr("closingbell.hooks.benzinga.PAGE", 50)
    deployment.run()
    now = deployment.box.clock
    wanted = deployment.market.ratings.truth(now, deployment.members(), since=a_year_before(now))
    assert len(asked_questions(deployment)) > 5
    assert deployment.ratings() == truth(wanted)
    pages = deployment.rows("SELECT request -> 'params' ->> 'page' AS page FROM ops.landings "
                            "WHERE endpoint = 'calendar_ratings' ORDER BY landing_id")  # fmt: skip
    assert pages[-1]["page"] == "0", "which counts as asked"


def test_then_the_rest_and_the_consensus_of_each_session_equals_the_truth(deployment):
    deployment.run()
    deployment.run()  # everybody else
    deployment.run("analyst_consensus")
    now, ratings = deployment.box.clock, deployment.market.ratings
    assert deployment.ratings() == truth(ratings.truth(now, since=a_year_before(now)))
    for session in (last_sessions(now.date(), 100)[0], now.date()):
        assert consensus(deployment, session) == told(deployment, session, a_year_before(now), loaded=now)
    row = deployment.rows("SELECT DISTINCT ratings_from FROM closingbell.analyst_consensus")
    assert [found["ratings_from"] for found in row] == [a_year_before(now)]
    assert no_change(deployment.run())
    assert no_change(deployment.run("analyst_consensus"))


def test_ratings_that_another_run_publishes_while_the_consensus_is_made_count_in_every_session(deployment):
    load = LOADS["analyst_consensus"]
    deployment.run(months=2)  # members of the S&P 500
    with published_after(load, deployment.named("analyst_consensus", "made")):
        (beside,) = deployment.run(months=2).values()  # everybody else
        assert beside["inserted"] > 0
    (counts,) = deployment.run("analyst_consensus").values()
    assert counts["inserted"] > len(deployment.members())  # more than the last session's
    assert no_change(base.replay(load, deployment.named("analyst_consensus", "replay")))


def test_corrections_and_removals_replace_the_row_and_past_sessions_keep_what_they_knew(deployment):
    ratings, last = deployment.market.ratings, deployment.market.last_session
    before = last_sessions(last, 75)[0]
    deployment.box.clock = close_of(before) + timedelta(hours=2)
    deployment.run()
    deployment.run("analyst_consensus")
    was = consensus(deployment, before)
    since = a_year_before(deployment.box.clock)
    members = deployment.members()
    assert was == told(deployment, before, since, members)

    deployment.box.clock = LATER
    deployment.run(sp500=True)
    deployment.run("analyst_consensus")
    assert deployment.ratings() == truth(ratings.truth(LATER, members, since=since))
    removed = deployment.rows("SELECT * FROM closingbell.analyst_ratings WHERE removed_at IS NOT NULL")
    assert removed, "this market's seed removes some in these weeks"
    revised = deployment.rows("SELECT old_row, reason FROM ops.revisions WHERE table_name = 'analyst_ratings'")
    corrected = [
        row["old_row"] for row in revised if row["old_row"]["rating_id"] not in {r["rating_id"] for r in removed}
    ]
    assert corrected, "and corrects some"
    assert consensus(deployment, before) == was
    assert consensus(deployment, last) == told(deployment, last, since, members)
    # made again from nothing, past sessions still know only what they knew
    base.replay(LOADS["analyst_consensus"], deployment.named("analyst_consensus", "replay"))
    assert consensus(deployment, before) == was


def test_a_word_that_nobody_knows_is_quarantined_with_the_word_named(deployment, caplog):
    with caplog.at_level(logging.WARNING, "closingbell"):
        deployment.run(months=46)
    taken = deployment.rows("SELECT rule, content FROM ops.quarantine WHERE table_name = 'analyst_ratings'")
    now = deployment.box.clock
    unknown = {
        event.rating_id: event.word
        for index in range(len(deployment.market.registry))
        for event in deployment.market.ratings.events(index)
        if event.unknown_word and event.known <= now and not (event.removed and event.removed <= now)
        and event.ticker in deployment.members()
    }  # fmt: skip
    assert {row["content"]["rating_id"]: row["content"]["rating"] for row in taken} == unknown
    assert unknown
    assert {row["rule"] for row in taken} == {"unknown_word"}
    for row in taken:
        assert repr(row["content"]["rating"]) in row["content"]["refused"]
        assert row["content"]["analyst_firm"] in row["content"]["refused"]
    assert "words.toml does not know" in caplog.text


def test_a_ticker_is_the_company_that_bore_it_on_the_day_of_the_rating(deployment):
    market = deployment.market
    reused, old, new = (market.cases[name] for name in ("reused_ticker", "old_ticker", "new_ticker"))
    deployment.run(tickers=[reused, new], months=46)
    found = deployment.rows(
        "SELECT r.ticker, s.cik, min(r.rated_at)::date AS first, max(r.rated_at)::date AS last "
        "FROM closingbell.analyst_ratings r JOIN closingbell.securities s USING (security_id) GROUP BY 1, 2"
    )
    by_ticker = {(row["ticker"], row["cik"]): (row["first"], row["last"]) for row in found}
    assert by_ticker.keys() == {
        (reused, market.cases["acquired"]), (reused, market.cases["reuses_ticker"]),
        (old, market.cases["ticker_change"]), (new, market.cases["ticker_change"]),
    }  # fmt: skip
    assert by_ticker[reused, market.cases["acquired"]][1] < by_ticker[reused, market.cases["reuses_ticker"]][0]
    assert not deployment.rows("SELECT FROM closingbell.analyst_ratings WHERE security_id IS NULL")


def test_with_faults_the_tables_equal_those_of_a_clean_run(
    deployment, market, new_database, migrated_template, tmp_path
):
    for name in ("analyst_ratings", "analyst_consensus"):
        deployment.run(name)
    clean = {table: content(deployment, table) for table in ("analyst_ratings", "analyst_consensus")}
    with deployed(market, new_database(migrated_template), tmp_path / "faulty", FAULTS) as faulty:
        for name in ("analyst_ratings", "analyst_consensus"):
            for _ in range(4):  # what Airflow's retries would do
                with contextlib.suppress(VendorError):
                    faulty.run(name)
                    break
        assert faulty.box.faults.counts["requests"] > 0
        for table, rows in clean.items():
            assert content(faulty, table) == rows, table


def test_a_changed_column_stops_the_run_by_name_and_is_asked_again(deployment):
    deployment.box.faults.change(rates('{"drift": 1}'))
    with pytest.raises(ValueError, match="benzinga calendar_ratings: column rating_current is missing"):
        deployment.run()
    assert not deployment.rows("SELECT FROM closingbell.analyst_ratings")
    deployment.box.faults.change(rates("{}"))
    deployment.run()
    now = deployment.box.clock
    expected = deployment.market.ratings.truth(now, deployment.members(), since=a_year_before(now))
    assert deployment.ratings() == truth(expected)


def test_what_the_day_s_requests_do_not_suffice_for_is_deferred_and_comes_first_the_next_day(deployment, monkeypatch):
    monkeypatch.setattr(analyst_ratings, "MAX_TICKERS", 4)
    limited = dataclasses.replace(ALLOWANCES["benzinga"]["sandbox"], day_limit=3)
    monkeypatch.setitem(ALLOWANCES["benzinga"], "sandbox", limited)
    deployment.run()
    asked = [row["tickers"] for row in asked_questions(deployment)]
    assert len(asked) == 2  # and one for what was removed
    members = len(deployment.members())
    (result,) = deployment.rows(
        "SELECT passed, severity, observed FROM ops.audit_results WHERE expectation = 'nothing_deferred'"
    )
    assert (result["passed"], result["severity"]) == (False, "warning")
    assert result["observed"]["rows"][0]["deferred"] == members - 8
    before = content(deployment, "analyst_ratings")
    with pytest.raises(QuotaExhausted, match="the budget resets at"):
        deployment.run()
    assert content(deployment, "analyst_ratings") == before
    with deployment.engine.begin() as connection:
        connection.execute(text("UPDATE ops.vendor_quota SET day_used = 0 WHERE vendor = 'benzinga'"))
    deployment.run()
    later = [row["tickers"] for row in asked_questions(deployment)][2:]
    assert not {t for listed in asked for t in listed.split(",")} & {t for listed in later for t in listed.split(",")}
    assert set(",".join(later).split(",")) <= set(deployment.members()), "members before the rest"


def test_a_budget_that_ends_between_two_pages_leaves_nothing_behind(deployment, monkeypatch):
    monkeypatch.setattr("closingbell.hooks.benzinga.PAGE", 100)
    monkeypatch.setattr(analyst_ratings, "_pages_of", lambda batch: 1)
    limited = dataclasses.replace(ALLOWANCES["benzinga"]["sandbox"], day_limit=3)
    monkeypatch.setitem(ALLOWANCES["benzinga"], "sandbox", limited)
    with pytest.raises(QuotaExhausted):
        deployment.run()
    assert asked_questions(deployment) == []
    assert not deployment.rows("SELECT FROM closingbell.analyst_ratings")


def test_a_vendor_that_has_nothing_is_no_error(deployment, monkeypatch):
    monkeypatch.setattr(deployment.market, "benzinga_ratings", lambda *asked: [], raising=False)
    for name in ("analyst_ratings", "analyst_consensus"):
        (counts,) = deployment.run(name).values()
        assert counts["in"] == 0
    assert asked_questions(deployment)


def test_without_a_universe_the_run_says_what_to_run_first(deployment):
    with deployment.engine.begin() as connection:
        connection.execute(text("DELETE FROM closingbell.ticker_history"))
    with pytest.raises(ValueError, match="no security is known; run universe first"):
        deployment.run()
    with pytest.raises(ValueError, match="run universe first"):
        deployment.run(tickers=["NOPE"])


def test_without_a_key_a_scheduled_run_is_empty_and_a_command_says_what_to_set(deployment, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_BENZINGA", json.dumps({"conn_type": "benzinga", "host": "http://127.0.0.1:1"}))
    with caplog.at_level(logging.WARNING, "closingbell"):
        (counts,) = deployment.run().values()
    assert counts["in"] == 0
    assert "BENZINGA_API_KEY" in caplog.text
    by_hand = dataclasses.replace(deployment.named("analyst_ratings", "by hand"), by_command=True)
    with pytest.raises(connections.ConnectionMissing, match="BENZINGA_API_KEY"):
        base.run_load(LOADS["analyst_ratings"], by_hand)


def test_files_that_are_here_already(deployment, tmp_path):
    now, tickers = deployment.box.clock, deployment.members()
    rows = deployment.market.ratings.calendar(tickers, a_year_before(now), now.date(), None, now)
    (tmp_path / "ratings.json").write_text(json.dumps({"ratings": rows}))
    deployment.run(from_files=[str(tmp_path)])
    assert deployment.ratings() == truth(deployment.market.ratings.truth(now, tickers, since=a_year_before(now)))
    assert not asked_questions(deployment)


def test_ratings_get_their_security_once_it_is_known_and_count(deployment, tmp_path, monkeypatch):
    market, now, since = deployment.market, deployment.box.clock, deployment.box.clock.date() - timedelta(days=90)
    members = deployment.members()
    rows = market.ratings.calendar(members, since, now.date(), None, now)
    (tmp_path / "ratings.json").write_text(json.dumps({"ratings": rows}))
    os.utime(tmp_path / "ratings.json", (now.timestamp(), now.timestamp()))
    with deployment.engine.begin() as connection:
        connection.execute(text("CREATE TABLE ops.kept AS SELECT * FROM closingbell.ticker_history"))
        connection.execute(text("DELETE FROM closingbell.ticker_history"))
    deployment.run(from_files=[str(tmp_path)])
    deployment.run("analyst_consensus")
    stored = "SELECT rating_id, security_id, landing_id FROM closingbell.analyst_ratings ORDER BY rating_id"
    before = deployment.rows(stored)
    assert {row["security_id"] for row in before} == {None}
    assert not deployment.rows("SELECT FROM closingbell.analyst_consensus")

    with deployment.engine.begin() as connection:
        connection.execute(text("INSERT INTO closingbell.ticker_history SELECT * FROM ops.kept"))
    monkeypatch.setattr(market, "benzinga_ratings", lambda *asked: [], raising=False)
    (counts,) = deployment.run().values()
    assert counts["updated"] == len(before)
    after = deployment.rows(stored)
    assert [row["landing_id"] for row in after] == [row["landing_id"] for row in before]
    assert None not in {row["security_id"] for row in after}
    deployment.run("analyst_consensus")
    for session in (last_sessions(now.date(), 30)[0], now.date()):
        expected = told(deployment, session, since, members, loaded=now)
        assert expected
        assert consensus(deployment, session) == expected
    assert no_change(deployment.run())


def test_a_rating_under_a_name_that_came_later_is_of_the_company_that_took_it():
    """Vendors move a company's old ratings to its new ticker; a reused ticker is another's."""
    days = [date(2010, 1, 4), date(2022, 6, 9), date(2015, 1, 2)]
    history = pl.DataFrame(
        {
            "ticker": ["FB", "META", "OLD"],
            "valid_from": days,
            "valid_to": [date(2022, 6, 8), None, None],
            "security_id": [1, 1, 2],
        }
    )
    rows = [("META", 2020), ("FB", 2020), ("META", 2023), ("OLD", 2012), ("META", 2009)]
    ratings = pl.DataFrame(
        [{"ticker": ticker, "rated_at": datetime(year, 3, 2, 15, tzinfo=UTC)} for ticker, year in rows],
        schema_overrides={"rated_at": pl.Datetime("us", "UTC")},
    )
    blank = {
        name: dtype for name, dtype in (analyst_ratings.FRAME | base.LINEAGE).items() if name not in ratings.columns
    }
    ratings = ratings.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in blank.items())
    assert analyst_ratings._mapped(ratings, history)["security_id"].to_list() == [1, 1, 1, None, None]


def test_one_unknown_word_among_few_ratings_is_quarantined_and_the_others_are_published(deployment, tmp_path):
    now = deployment.box.clock
    rows = deployment.market.ratings.calendar(deployment.members()[:2], a_year_before(now), now.date(), None, now)[:3]
    (tmp_path / "few.json").write_text(json.dumps({"ratings": [rows[0] | {"rating_current": "Buyish"}, *rows[1:]]}))
    (counts,) = deployment.run(from_files=[str(tmp_path)]).values()
    assert (counts["inserted"], counts["quarantined"]) == (2, 1)
    many = [row | {"id": f"{row['id']}{n}", "rating_current": "Buyish"} for n in range(10) for row in rows]
    (tmp_path / "few.json").write_text(json.dumps({"ratings": many}))
    with pytest.raises(AuditFailed, match="quarantined_share"):
        deployment.run(from_files=[str(tmp_path)])


def test_a_removal_without_a_time_counts_from_when_it_was_seen_first(deployment, monkeypatch):
    deployment.run(sp500=True)
    (row,) = deployment.rows("SELECT rating_id FROM closingbell.analyst_ratings ORDER BY rating_id LIMIT 1")
    undated = [{"id": row["rating_id"], "type": "ratings", "updated": 0}]
    monkeypatch.setattr(deployment.market, "benzinga_removed", lambda *asked: undated, raising=False)
    seen = deployment.box.clock
    for later in (0, 1, 2):
        deployment.box.clock = seen + timedelta(days=later)
        deployment.run(sp500=True)
        found = deployment.rows("SELECT removed_at FROM closingbell.analyst_ratings WHERE removed_at IS NOT NULL")
        assert [mark["removed_at"].date() for mark in found] == [seen.date()]
    base.replay(LOADS["analyst_ratings"], deployment.named("replay_analyst_ratings", "replay"))
    assert deployment.rows("SELECT removed_at FROM closingbell.analyst_ratings WHERE removed_at IS NOT NULL") == found


def test_replay_from_the_landing_zone_changes_nothing(deployment):
    deployment.box.clock = close_of(last_sessions(deployment.market.last_session, 75)[0]) + timedelta(hours=2)
    deployment.run()
    deployment.box.clock = LATER
    deployment.run()
    before = content(deployment, "analyst_ratings")
    assert any(row["removed_at"] for row in before.values())
    counts = base.replay(LOADS["analyst_ratings"], deployment.named("replay_analyst_ratings", "replay"))
    assert no_change(counts)
    assert content(deployment, "analyst_ratings") == before


def test_the_key_is_in_no_log_url_landing_or_error(deployment, monkeypatch, caplog):
    given = json.loads(json.dumps(connections.environment("http://127.0.0.1:1")))
    conn = json.loads(given["AIRFLOW_CONN_BENZINGA"])
    host = connections.resolve("benzinga").base_url
    with caplog.at_level(logging.DEBUG):
        monkeypatch.setenv("AIRFLOW_CONN_BENZINGA", json.dumps(conn | {"host": host, "password": "sesame-42-open"}))
        deployment.run(tickers=deployment.members()[:2])
        with contextlib.closing(open_hook("benzinga", None)) as hook:
            assert hook.test() == (True, "Benzinga took the key")
        # the sandbox refuses this one, and its answer comes back in the error
        monkeypatch.setenv("AIRFLOW_CONN_BENZINGA", json.dumps(conn | {"host": host, "password": "wrong"}))
        with contextlib.closing(open_hook("benzinga", None)) as hook:
            passed, said = hook.test()
            assert not passed
            with pytest.raises(AuthFailed, match="check key and plan of the connection benzinga"):
                list(hook.ratings(["A"]))
    landed = json.dumps(deployment.rows("SELECT request, key, path FROM ops.landings"))
    assert "token" not in landed
    assert "sesame" not in landed + caplog.text + said


def asked_questions(deployment: Deployment) -> list[dict[str, Any]]:
    return deployment.rows(
        "SELECT request -> 'params' ->> 'parameters[tickers]' AS tickers FROM ops.landings "
        "WHERE endpoint = 'calendar_ratings' AND request ->> 'method' <> 'file' ORDER BY landing_id"
    )


def no_change(counts: dict[str, dict[str, int]]) -> bool:
    return all(row["inserted"] == row["updated"] == row["deleted"] == 0 for row in counts.values())


def content(deployment: Deployment, table: str) -> dict[str, dict[str, Any]]:
    statement = f"SELECT to_jsonb(t) - 'landing_id' - 'fetched_at' AS row FROM closingbell.{table} t"
    found = [row["row"] for row in deployment.rows(statement)]
    return {str(row.get("rating_id") or (row["security_id"], row["session"])): row for row in found}


def consensus(deployment: Deployment, session: date) -> dict[str, list[Any]]:
    rows = deployment.rows(
        "SELECT c.*, s.figi FROM closingbell.analyst_consensus c JOIN closingbell.securities s USING (security_id) "
        "WHERE session = :session", session=session,
    )  # fmt: skip
    return {
        row["figi"]: [pytest.approx(row[name]) if row[name] is not None else None for name in COUNTED] for row in rows
    }


def told(
    deployment: Deployment,
    session: date,
    since: date,
    tickers: list[str] | None = None,
    loaded: datetime | None = None,
) -> dict[str, list[Any]]:
    ratings, close = deployment.market.ratings, close_of(session)
    found = {}
    for index in range(len(deployment.market.registry)):
        listed = {listing.figi: listing.tickers[-1][0] for listing in deployment.market.registry[index].listings}
        for figi, row in ratings.consensus(index, close, since, loaded).items():
            if tickers is None or listed[figi] in tickers:
                found[figi] = [row[name] for name in COUNTED]
    return found
