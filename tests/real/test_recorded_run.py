"""Everything recorded through the whole path, as `make demo MODE=recorded` loads it, to scores of 2017-11-10."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import sys
from datetime import date

import polars as pl
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from closingbell import cli, connections
from closingbell.api import keys
from closingbell.api import main as api
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base, score_reads
from closingbell.pipelines.base import Run
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.scores import changes as explained
from closingbell.sessions import close_of
from closingbell.settings import settings
from closingbell.stack import record
from closingbell.warehouse import db

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

SESSION, BEFORE = date(2017, 11, 10), date(2017, 11, 9)
RESTATED = [date(2016, 11, 22), date(2016, 11, 23)]  # NVDA's 10-Q 0001045810-16-000353, filed on the first of them
NEEDED = (
    "data.sec.gov/api/xbrl/companyfacts", "prices/stocks", "www.sec.gov/files/company_tickers.json.gz",
    "reference/sp500_constituents.csv",
)  # fmt: skip


@pytest.fixture(scope="module")
def recorded(recordings, new_database, migrated_template, tmp_path_factory):
    if absent := [name for name in NEEDED if not (recordings / name).exists()]:
        pytest.skip(f"not recorded here: {', '.join(absent)}")
    box = Sandbox(open_market("recorded", recordings=recordings), mode="recorded", seed=7)
    url = new_database(migrated_template)
    with pytest.MonkeyPatch.context() as environment, running(box) as address:
        for name, value in connections.environment(address).items():
            environment.setenv(name, value)
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        settings.cache_clear()
        engine = db.engine(url)
        landing = Landing(str(tmp_path_factory.mktemp("recorded")), engine)
        scored = {"sessions": [day.isoformat() for day in (*RESTATED, BEFORE, SESSION)]}
        for name in ("universe", "sec_financials", "prices", "indicators", "valuation_ratios", "scores"):
            run = Run(
                dag_id=name, run_id="real", partition_key=SESSION.isoformat(), engine=engine, landing=landing,
                params=scored if name in ("indicators", "valuation_ratios", "scores") else {},
            )  # fmt: skip
            base.run_load(LOADS[name], run)
        yield engine
    settings.cache_clear()


def board(engine) -> dict[str, dict]:
    return {row["ticker"]: row for row in db.query(engine, "scoreboard", session=SESSION).iter_rows(named=True)}


def test_every_recorded_company_is_loaded_one_in_no_ticker_list_too(recorded, recordings):
    files = {path.name[3:13] for path in (recordings / "data.sec.gov/api/xbrl/companyfacts").glob("CIK*.json.gz")}
    loaded = db.query(recorded, "financials_as_of", as_of=date(2026, 12, 31), ciks=None)["cik"].unique()
    assert {f"{cik:010d}" for cik in loaded} == files
    assert 945436 in loaded  # SunEdison, bankrupt in 2016


def test_the_whole_universe_comes_of_lists_and_bulk_zips(recorded, recordings):
    listed = json.loads(gzip.decompress((recordings / "www.sec.gov/files/company_tickers.json.gz").read_bytes()))
    members = (recordings / "reference/sp500_constituents.csv").read_text().splitlines()[1:]
    with recorded.connect() as connection:

        def rows(statement: str) -> list:
            return connection.execute(text(statement)).scalars().all()

        companies = set(rows("SELECT cik FROM closingbell.companies"))
        assert {row["cik_str"] for row in listed.values()} <= companies  # 8,021 of them
        assert len(rows("SELECT security_id FROM closingbell.securities")) >= len(listed)  # 10,433, and FB and such
        assert rows("SELECT count(*) FROM closingbell.index_members") == [len(members)]  # 503
        # in the S&P 500's table under CIK 2115436, SIC 2911
        assert rows("SELECT sector_source FROM closingbell.companies WHERE cik = 34088") == ["sp500"]
        asked = set(rows("SELECT endpoint FROM ops.landings WHERE vendor = 'sec_edgar'"))
    assert asked == {"company_tickers", "submissions_zip", "companyfacts_zip"}


def test_every_stock_with_a_bar_that_day_is_scored(recorded, recordings):
    traded = set()
    for path in (recordings / "prices/stocks").glob("*.csv.gz"):
        if gzip.decompress(path.read_bytes()).splitlines()[-1].startswith(b"2017-11-10"):
            traded.add(path.name.removesuffix(".csv.gz").replace("-", "."))
    rows = board(recorded)
    assert rows.keys() == traded  # 121: DD's last bar is of the day before
    assert all(1 <= row["overall_score"] <= 100 for row in rows.values())


def test_a_banks_returns_are_those_of_its_recorded_closes_among_the_banks(recorded):
    # prices/stocks/JPM.csv.gz: 2017-11-10 97.51, 21 bars before 95.99 (2017-10-12), 252 before 74.94 (2016-11-10)
    statement = text(
        "SELECT i.metric, i.raw, i.peer_group FROM closingbell.score_inputs_by_metric i"
        " JOIN closingbell.ticker_history t USING (security_id) WHERE t.ticker = 'JPM' AND i.session = :session"
    )
    with recorded.connect() as connection:
        found = {metric: (raw, group) for metric, raw, group in connection.execute(statement, {"session": SESSION})}
    assert found["return_1m"] == (pytest.approx(97.51 / 95.99 - 1), "Financials")
    assert found["return_12m"] == (pytest.approx(97.51 / 74.94 - 1), "Financials")


def test_companies_with_filings_and_prices_have_every_factor_built(recorded):
    rows = board(recorded)
    for ticker in ("AAPL", "NVDA", "GOOGL", "WMT", "HD", "COST", "NKE", "MCD", "TXN"):
        row = rows[ticker]
        for factor in ("value", "growth", "profitability", "financial_health", "momentum", "technical"):
            assert row[factor] is not None, (ticker, factor)
        assert row["data_completeness"] == pytest.approx(0.65)  # the weights of these six
        assert 1 <= row["overall_score"] <= 100
    for ticker, why in (("JPM", "its filings are not recorded"), ("DIS", "today's filer files since 2019 only")):
        assert rows[ticker]["momentum"] is not None
        assert rows[ticker]["profitability"] is None, why


def test_growth_of_earnings_a_share_is_missing_where_no_vendor_tells_the_splits(recorded):
    """NKE split 2:1 on 2015-12-24; the recorded bars are adjusted for it, and nothing recorded says so."""
    with recorded.connect() as connection:
        inputs = connection.execute(text("SELECT DISTINCT metric FROM closingbell.score_inputs_by_metric")).scalars()
        assert {"revenue_growth", "fcf_growth", "eps_growth"} & set(inputs) == {"revenue_growth", "fcf_growth"}
    assert db.query(recorded, "splits_known_from")["known_from"].null_count() > 100


def test_apples_market_value_is_its_price_times_the_shares_of_its_newest_filing_as_known(recorded):
    # close 174.67 (prices/stocks/AAPL.csv.gz, 2017-11-10); 10-K 0000320193-17-000070, filed and accepted 2017-11-03:
    # balance sheet of 2017-09-30, 5,126,201 thousand shares issued and outstanding; net sales 229,234, income 48,351
    with recorded.connect() as connection:
        row = db.query(connection, "score_valuations", first=SESSION, last=SESSION).join(
            db.query(connection, "ticker_history").filter(pl.col("ticker") == "AAPL"), on="security_id"
        )
    assert row["statement_period_end"].to_list() == [date(2017, 9, 30)]
    market_cap = 174.67 * 5_126_201_000
    assert row["earnings_yield"].item() == pytest.approx(48_351_000_000 / market_cap, rel=1e-6)
    assert row["sales_yield"].item() == pytest.approx(229_234_000_000 / market_cap, rel=1e-6)


def test_a_restatement_moves_the_score_of_the_session_that_first_knew_of_it_and_the_page_says_why(recorded):
    """NVDA's 10-Q 0001045810-16-000353 restates net income of the quarters to 2016-05-01, from 196 million to 208, and
    to 2016-07-31, from 253 to 261. Twelve months of quarters: 247 + 207 + 196 + 253 of 5,439 in revenue; then
    207 + 208 + 261 + 542 of 6,138, which with the quarters as first filed would be 1,198 and not 1,218."""
    found = score_reads.changed(recorded, "NVDA", RESTATED[1])
    assert found.before == RESTATED[0]
    assert found.parts["part"].sum() == pytest.approx(found.points)
    (margin,) = found.parts.filter(metric="net_margin").to_dicts()
    assert margin["raw_before"] == pytest.approx(903 / 5439, rel=1e-9)
    assert margin["raw_after"] == pytest.approx(1218 / 6138, rel=1e-9)
    filing = found.evidence["net_margin"][0]  # the last one known; older ones told the other quarters
    assert filing["key"] == "0001045810-16-000353"
    assert close_of(RESTATED[0]) < filing["known_at"] <= close_of(RESTATED[1])


def test_the_stocks_page_shows_a_restatement_from_the_session_that_first_knew_of_it(recorded):
    """NVDA's quarter to 2016-05-01 as first filed and as its 10-Q 0001045810-16-000353 tells it: net income of 196 and
    208 million; a day before, the page knows the first alone. On 2017-11-10 it has both still, and no statement moved
    the score."""
    key = keys.make(recorded, "tests", "pro", author="tests")[1]
    with TestClient(api.make_app(), headers={"X-API-Key": key}) as client:

        def parts(session: date) -> tuple[str, str]:
            text = client.get(f"/scoreboard/stocks/NVDA?session={session}").text
            assert f"NVDA on {session}" in text
            found = [re.search(f'<section id="{one}">.*?</section>', text, re.S) for one in ("changes", "statements")]
            return tuple(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", part[0])) for part in found if part)  # type: ignore

        changes, statements = parts(RESTATED[0])
        assert "is restated by" not in changes
        assert "$196.00M" in statements
        assert "$208.00M" not in statements
        changes, statements = parts(RESTATED[1])
        told = re.search(
            r"The quarter to 2016-05-01 is restated by 0001045810-16-000353 , known (.*?) ET:(.*?)\. ", changes
        )
        assert told
        assert told[1].startswith(("2016-11-22", "2016-11-23"))
        assert " net income $196.00M › $208.00M" in told[2]
        assert changes.count("is restated by") == 3, "what is filed once more and says the same is not restated"
        back = "gross profit $733.00M › $734.00M; net income $247.00M › $246.00M."
        assert (
            f"The quarter to 2015-10-25 is restated by 0001045810-16-000353 , known {told[1]} ET: {back}" in changes
        ), "back to what the first version said, from what the year's report did"
        assert re.search(r"Net margin Profitability 16\.60% › 19\.84% ", changes)
        assert "$208.00M first $196.00M" in statements
        text = client.get(f"/scoreboard/stocks/NKE?session={RESTATED[1]}").text
        assert "2014-11-30" in text
        assert "splits are not told" in text
        assert 'class="was">first 0.74' not in text, "NKE split 2:1 on 2015-12-24, which nothing recorded says"
        changes, statements = parts(SESSION)
        assert "is restated by" not in changes
        assert "Return, 1 month Momentum" in changes
        assert "$208.00M first $196.00M" in statements


def test_why_the_scores_of_the_last_recorded_session_changed(recorded, recordings, monkeypatch, capsys, tmp_path):
    """From 2017-11-09 to 2017-11-10, for the statements of both are the same: NVDA reported in between, and filed its
    10-Q on 2017-11-21."""
    before, after = (db.query(recorded, "scoreboard", session=day) for day in (BEFORE, SESSION))
    moved = after.join(before, on="ticker", suffix="_before").select(
        "ticker", change=pl.col("overall_score") - pl.col("overall_score_before")
    )
    assert moved.height == after.height  # all 121 traded on both
    for ticker, change in moved.rows():
        found = score_reads.changed(recorded, ticker, SESSION)
        assert (found.before, found.stale) == (BEFORE, ())
        assert found.points == pytest.approx(change)
        assert found.parts["part"].sum() == pytest.approx(change)
    found = score_reads.changed(recorded, "NVDA", SESSION)
    values = {row["metric"]: row for row in found.parts.iter_rows(named=True)}
    assert values["net_margin"]["raw_before"] == values["net_margin"]["raw_after"]
    lines = gzip.decompress((recordings / "prices/stocks/NVDA.csv.gz").read_bytes()).splitlines()
    closes = [float(line.split(b",")[4]) for line in lines[1:]]  # the last one 216.14, 205.32 before it
    assert values["return_1m"]["raw_before"] == pytest.approx(closes[-2] / closes[-23] - 1)
    assert values["return_1m"]["raw_after"] == pytest.approx(closes[-1] / closes[-22] - 1)
    assert values["return_1m"]["part"] > 0
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["closingbell", "changes", "NVDA", "--session", str(SESSION)])
    with contextlib.suppress(SystemExit):
        cli.main()
    told = capsys.readouterr().out
    assert told == explained.text(found)
    for shown in (f"{found.score:.2f}", f"{found.score_before:.2f}", f"{found.points:+.2f}"):
        assert shown in told
