"""Everything recorded through the whole path, as `make demo MODE=recorded` loads it, to scores of 2017-11-10."""

from __future__ import annotations

import gzip
import json
from datetime import date

import polars as pl
import pytest
from sqlalchemy import text

from closingbell import connections
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.settings import settings
from closingbell.warehouse import db

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

SESSION = date(2017, 11, 10)
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
        for name in ("universe", "sec_financials", "prices", "indicators", "valuation_ratios", "scores"):
            run = Run(dag_id=name, run_id="real", partition_key=SESSION.isoformat(), engine=engine, landing=landing)
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
