"""The recordings through the four real DAGs: DAG.test() on the recorded sandbox, its clock where recordings lie."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from closingbell import connections
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.settings import REPOSITORY
from closingbell.warehouse import db

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

RUNS = [
    {"dag": "insider_trades", "now": "2022-03-22T02:30:00+00:00", "conf": {"backfill": 10}},
    # the newer news first: moods are made from the last session that has some on
    {"dag": "news_sentiment", "now": "2022-04-29T12:00:00+00:00", "conf": {"backfill": 2}},
    {"dag": "news_sentiment", "now": "2016-01-12T22:30:00+00:00", "conf": {"backfill": 2}},
    {"dag": "analyst_ratings", "now": "2025-03-15T12:00:00+00:00", "conf": {}},
    {"dag": "institutional_holdings", "now": "2025-03-15T12:00:00+00:00", "conf": {"quarters": ["2020Q4", "2024Q4"]}},
    # the recorded feed: filings of 2025-12-12 accepted at 18:01 New York or later
    {"dag": "insider_trades", "now": "2025-12-13T00:01:00+00:00", "conf": {"hours": 1, "backfill": 1}},
]
NEEDED = (
    "www.sec.gov/ownership",
    "www.sec.gov/cgi-bin/browse-edgar",
    "www.sec.gov/form13f",
    "www.sec.gov/form13f_dataset_schema/FORM13F_metadata.json",
    "polygon/client_python_mocks/v2/reference/news&ticker=NFLX.json",
    "tiingo/python_client_vcr/news_0.json",
)
COMPANIES = {"AAPL": 320193, "NFLX": 1065280, "MSFT": 789019, "NTRA": 1604821}


@pytest.fixture(scope="module")
def warehouse(recordings: Path, new_database, migrated_template: str, tmp_path_factory) -> Engine:
    """What the runs made, all of which succeeded."""
    if absent := [name for name in NEEDED if not (recordings / name).exists()]:
        pytest.skip(f"not recorded here: {', '.join(absent)}")
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    for name in {run["dag"] for run in RUNS}:
        shutil.copy(REPOSITORY / f"dags/{name}.py", home / "dags")
    url = new_database(migrated_template)
    engine = db.engine(url)
    with engine.begin() as connection:
        for ticker, cik in COMPANIES.items():
            of = {"id": cik * 1000 + 1, "cik": cik, "ticker": ticker}
            for statement in (
                "INSERT INTO closingbell.securities (security_id, cik, name, type, fetched_at)"
                " VALUES (:id, :cik, :ticker, 'CS', now())",
                "INSERT INTO closingbell.ticker_history (ticker, valid_from, security_id, fetched_at)"
                " VALUES (:ticker, '2002-05-23', :id, now())",
            ):
                connection.execute(text(statement), of)
    with running(Sandbox(open_market("recorded", recordings=recordings), mode="recorded")) as address:
        vendors = connections.environment(address)
        for name in ("BENZINGA", "GEMINI", "MARKETAUX", "WEB"):  # of which nothing is recorded: they have no keys
            del vendors[f"AIRFLOW_CONN_{name}"]
        environment = os.environ | vendors | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "CLOSINGBELL_POD_RUNTIME": "local",
            "CLOSINGBELL_DATABASE_URL": url,
            "CLOSINGBELL_LANDING": str(home / "landing"),
        }  # fmt: skip
        script = Path(__file__).parents[1] / "fixtures/dag_runs.py"
        done = subprocess.run(
            [sys.executable, script, address], input=json.dumps(RUNS), env=environment, cwd=home, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for asked, (state, tasks) in zip(RUNS, json.loads(done.stdout.splitlines()[-1]), strict=True):
        assert state == "success", (asked, tasks, done.stdout[-3000:])
        assert set(tasks.values()) <= {"success", "skipped"}, (asked, tasks)
    return engine


def rows(engine: Engine, statement: str) -> list[tuple]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def test_the_days_indexes_bring_their_recorded_ownership_documents(warehouse):
    """Natera's of 2022-03-18, read by hand: 26402 + 85903 + 40695 shares bought on 2022-03-16."""
    listed = rows(warehouse, "SELECT DISTINCT accession_no FROM closingbell.insider_trades ORDER BY 1")
    assert listed == [("0000899243-22-011124",), ("0001062993-22-007516",), ("0001062993-22-008150",)]
    natera = rows(
        warehouse,
        "SELECT transaction_code, acquired, shares, price_per_share, total_value, shares_owned_after, filed_on,"
        " security_id FROM closingbell.insider_trades"
        " WHERE accession_no = '0001062993-22-008150' AND NOT is_derivative AND row_no = 2",
    )
    assert natera == [("P", True, 85903, 32.5947, 2799982.5141, 1250889, date(2022, 3, 18), 1604821001)]
    sums = rows(
        warehouse,
        "SELECT net_shares_30d, net_shares_90d FROM closingbell.insider_activity"
        " WHERE security_id = 1604821001 AND session = '2022-03-21'",
    )
    assert sums == [(153000, 153000)]


def test_the_recorded_feed_lists_what_was_accepted_in_the_hour(warehouse):
    (listed,) = rows(
        warehouse,
        "SELECT expected -> 'documents' FROM ops.stages WHERE table_name = 'insider_trades' AND expected ? 'documents'"
        " ORDER BY opened_at DESC LIMIT 1",
    )[0]
    assert (len(listed), listed[0], listed[-1]) == (8, "0000104169-25-000205", "0002063236-25-000004")


def test_the_sets_bring_actiams_holdings_in_dollars_and_acorn_creeks(warehouse):
    """Declared on the cover pages: 732158 thousand, of December 2020, and 194611845."""
    totals = rows(
        warehouse,
        "SELECT accession_no, f.filed_on, rows, value_unit, reconciled, sum(market_value) FROM"
        " closingbell.institutional_filings f JOIN closingbell.institutional_holdings USING (accession_no)"
        " GROUP BY 1, 2, 3, 4, 5 ORDER BY 1",
    )
    assert totals == [
        ("0001619124-21-000002", date(2021, 2, 12), 5, 1000, True, 732_158_000),
        ("0001951757-25-000093", date(2025, 1, 22), 77, 1, True, 194_611_845),
    ]
    apple = rows(
        warehouse,
        "SELECT shares, market_value, known_at FROM closingbell.institutional_holdings"
        " WHERE accession_no = '0001619124-21-000002' AND cusip = '037833100'",
    )
    assert apple == [(1733777, 230_054_000, datetime(2021, 2, 13, 3, tzinfo=UTC))]


def test_the_recorded_stories_are_scored_for_the_securities_they_name(warehouse):
    found = rows(
        warehouse,
        "SELECT vendors[1], published_at, string_agg(ticker || ' ' || model, ', ' ORDER BY ticker)"
        " FROM closingbell.news_articles JOIN closingbell.news_sentiment USING (article_id)"
        " JOIN closingbell.ticker_history USING (security_id) GROUP BY 1, 2 ORDER BY 2",
    )
    assert found == [
        ("tiingo", datetime(2016, 1, 11, 23, 13, tzinfo=UTC), "AAPL lexicon, MSFT lexicon, NFLX lexicon"),  # cnbc.com
        ("polygon", datetime(2022, 4, 28, 17, 8, tzinfo=UTC), "MSFT lexicon, NFLX lexicon"),  # MarketWatch
    ]


def test_ratings_without_a_key_are_green_and_empty(warehouse):
    assert rows(warehouse, "SELECT count(*) FROM closingbell.analyst_ratings") == [(0,)]
