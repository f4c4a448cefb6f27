"""A second run asks only for companies that filed since the first, and ends where a whole load would."""

from __future__ import annotations

from datetime import UTC, datetime

from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base, sec_financials
from closingbell.pipelines.base import Run
from closingbell.warehouse import db, failures

BEFORE = datetime(2025, 11, 3, 23, 0, tzinfo=UTC)


def test_only_companies_that_filed_since_the_watermark_are_asked_and_none_is_lost(sandbox, market, database, tmp_path):
    _, box = sandbox
    landing = Landing(str(tmp_path), database)

    def run(name: str, run_id: str, **params) -> Run:
        return Run(
            dag_id=name, run_id=run_id, partition_key=run_id, engine=database, landing=landing, params=params
        )  # fmt: skip

    box.clock = BEFORE
    base.run_load(LOADS["universe"], run("universe", "first"))
    base.run_load(LOADS["sec_financials"], run("sec_financials", "first"))
    assert _published(database, BEFORE) == _truth(market, BEFORE)

    box.clock = market.default_clock
    # one that failed, and filed nothing since, is due again
    failures.record(database, "sec_edgar", "companyfacts", f"{market.cases['bankrupt']:010d}", "a test", "d", "r")
    page_lost = next(cik for cik in market.ciks if cik not in _filed(market))
    failures.record(
        database, "sec_edgar", "submissions_page", f"CIK{page_lost:010d}-submissions-001.json", "t", "d", "r"
    )
    due = [cik for batch in sec_financials.plan(run("sec_financials", "second")) for cik in batch["ciks"]]
    assert set(due) == _filed(market) | {market.cases["bankrupt"], page_lost}
    assert len(due) < len(market.ciks)
    base.run_load(LOADS["sec_financials"], run("sec_financials", "second"))
    assert _published(database, market.default_clock) == _truth(market, market.default_clock)
    assert failures.pending(database, "sec_edgar", "companyfacts") == []
    assert failures.pending(database, "sec_edgar", "submissions_page") == []


def _filed(market):
    return {
        cik
        for cik in market.ciks
        for filing in market.filings(market.company(cik))
        if BEFORE.date() <= filing.filed_on <= market.default_clock.date()
    }


def _published(engine, as_of):
    rows = db.query(engine, "financials_as_of", as_of=as_of, ciks=None)
    return sorted(rows.select("cik", "period_type", "period_end", "revenue", "total_assets").rows(), key=str)


def _truth(market, as_of):
    rows = market.truth.statements(as_of)
    return sorted(rows.select("cik", "period_type", "period_end", "revenue", "total_assets").rows(), key=str)
