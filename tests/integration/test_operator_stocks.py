"""The operator's own PostgreSQL table of stocks as the universe, by connection."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.settings import settings
from closingbell.warehouse import db


def universe(database, folder, run_id) -> dict:
    run = Run(
        dag_id="universe", run_id=run_id, partition_key="2025-12-05", engine=database,
        landing=Landing(str(folder), database), params={"source": "stocks_table"},
    )  # fmt: skip
    return base.run_load(LOADS["universe"], run)


def test_a_stocks_table_is_the_universe(sandbox, market, database, new_database, tmp_path, monkeypatch):
    own = db.engine(new_database(None))
    listed = [row for row in market.company_tickers(market.default_clock).values()][:3]
    with own.begin() as connection:
        connection.execute(text("CREATE TABLE stocks (symbol text, name text, cik bigint, sector text)"))
        for row in listed:
            connection.execute(
                text("INSERT INTO stocks VALUES (:ticker, :title, :cik_str, 'Energy')"),
                {name: row[name] for name in ("ticker", "title", "cik_str")},
            )
    monkeypatch.setenv(
        "AIRFLOW_CONN_OWN_STOCKS", own.url.render_as_string(hide_password=False).replace("+psycopg2", "")
    )
    monkeypatch.setenv("CLOSINGBELL_STOCKS_CONN_ID", "own_stocks")
    settings.cache_clear()
    counts = universe(database, tmp_path, "first")
    assert counts["companies"]["inserted"] == len({row["cik_str"] for row in listed})
    companies = db.query(database, "companies_newest")
    assert set(companies["cik"]) == {row["cik_str"] for row in listed}
    assert set(companies["sector"]) == {"Energy"}
    assert companies["sic"].null_count() == 0  # SEC's submissions were asked for them
    settings.cache_clear()


def test_without_a_connection_the_error_names_the_setting(sandbox, database, tmp_path):
    with pytest.raises(ValueError, match="CLOSINGBELL_STOCKS_CONN_ID"):
        universe(database, tmp_path, "first")
