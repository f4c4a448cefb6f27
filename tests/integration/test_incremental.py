"""A second run asks only for companies that filed since the first, and ends where a whole load would."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta

import pytest
from load_steps import BEFORE, killed_before_publishing
from sqlalchemy import text

from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import NotFound
from closingbell.hooks.sec_edgar import SecEdgar
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base, daily_indexes, sec_financials
from closingbell.pipelines.base import Run
from closingbell.warehouse import db, failures, load


def test_only_companies_that_filed_since_the_watermark_are_asked_and_none_is_lost(
    sandbox, market, database_of_november, with_financials_of_november, monkeypatch
):
    database, box = database_of_november, sandbox[1]
    landing = Landing(str(with_financials_of_november[1]), database)

    def run(name: str, run_id: str, **params) -> Run:
        return Run(
            dag_id=name, run_id=run_id, partition_key=run_id, engine=database, landing=landing, params=params
        )  # fmt: skip

    assert _published(database, BEFORE) == _truth(market, BEFORE)

    box.clock = market.default_clock
    # one that failed, and filed nothing since, is due again
    failures.record(database, "sec_edgar", "companyfacts", f"{market.cases['bankrupt']:010d}", "a test", "d", "r")
    # an index that came late would be of the week before
    since = BEFORE.date() - timedelta(days=sec_financials.LATE_DAYS)
    page_lost = next(cik for cik in market.ciks if cik not in _filed(market, since))
    failures.record(
        database, "sec_edgar", "submissions_page", f"CIK{page_lost:010d}-submissions-001.json", "t", "d", "r"
    )
    due = [cik for batch in sec_financials.plan(run("sec_financials", "second")) for cik in batch["ciks"]]
    assert set(due) == _filed(market, since) | {market.cases["bankrupt"], page_lost}
    assert len(due) < len(market.ciks)
    for asked, wanted in (({"all": True}, due), ({"all": True, "full": True}, sorted(market.ciks))):  # the command's
        batches = sec_financials.plan(run("sec_financials", "asked", **asked))
        assert [cik for batch in batches for cik in batch["ciks"]] == wanted
    with monkeypatch.context() as patch:  # from SEC's zips no others are loaded either
        patch.setattr(sec_financials, "BULK_OVER", 1)
        assert [cik for batch in sec_financials.plan(run("sec_financials", "bulk")) for cik in batch["ciks"]] == due
    base.run_load(LOADS["sec_financials"], run("sec_financials", "second"))
    assert _published(database, market.default_clock) == _truth(market, market.default_clock)
    assert failures.pending(database, "sec_edgar", "companyfacts") == []
    assert failures.pending(database, "sec_edgar", "submissions_page") == []


def test_an_index_that_came_late_and_a_company_of_no_list_are_caught_once(
    sandbox, market, database, tmp_path, monkeypatch
):
    """Of a day that EDGAR listed after the watermark had passed; the company was loaded once, from a file."""
    landing = Landing(str(tmp_path), database)
    day, outsider = max(
        (filing.filed_on, cik) for cik in market.ciks for filing in market.filings(market.company(cik))
        if filing.filed_on < date(2025, 11, 20) and filing.form == "10-Q"
    )  # fmt: skip
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.securities (security_id, cik, name, type, fetched_at)"
                " SELECT cik * 1000, cik, 'A', 'CS', now() FROM unnest(CAST(:ciks AS bigint[])) AS cik"
            ),
            {"ciks": [cik for cik in market.ciks if cik != outsider]},
        )
        connection.execute(
            text(
                "INSERT INTO closingbell.financial_facts (cik, taxonomy, concept, unit, period_end, accession_no,"
                " value, form, filed_on, known_at, fetched_at)"
                " VALUES (:cik, 'us-gaap', 'Assets', 'USD', :day, 'a', 1, '10-Q', :day, now(), now())"
            ),
            {"cik": outsider, "day": day},
        )
    universe = db.query(database, "universe_ciks")["cik"].to_list()
    assert universe == sorted(market.ciks)

    def due_after(watermark: date, run_id: str) -> set[int]:
        sandbox[1].clock = datetime.combine(watermark + timedelta(days=1), datetime.min.time(), UTC) + timedelta(
            hours=17
        )
        run = Run(dag_id="d", run_id=run_id, partition_key=run_id, engine=database, landing=landing)
        expected = {"watermark": watermark.isoformat(), "universe": universe}
        stage_id = load.open_stage(
            database, dag_id="d", run_id=f"of {run_id}", table="financials", partition_key="p", expected=expected
        )
        with database.begin() as connection:
            connection.execute(
                text("UPDATE ops.stages SET status = 'published' WHERE stage_id = :id"), {"id": stage_id}
            )
        return {cik for batch in sec_financials.plan(run) for cik in batch["ciks"]}

    index = SecEdgar.daily_index

    def late(self: SecEdgar, of: date) -> Answer:
        if of == day:
            raise NotFound("sec_edgar", "daily_index", of.isoformat(), 404, "not yet")
        return index(self, of)

    monkeypatch.setattr(SecEdgar, "daily_index", late)
    assert outsider not in due_after(day, "too soon")
    monkeypatch.setattr(SecEdgar, "daily_index", index)
    assert outsider in due_after(day + timedelta(days=3), "it came")
    assert outsider not in due_after(day + timedelta(days=4), "it was read")


def test_a_day_whose_index_cannot_be_read_and_a_company_that_failed_wait_for_a_run_that_publishes(
    sandbox, market, database_of_november, with_financials_of_november, monkeypatch
):
    """EDGAR answers for one day with an error page, twice; the run goes on, and what follows asks for it again."""
    engine, box = database_of_november, sandbox[1]
    landing, index = Landing(str(with_financials_of_november[1]), engine), SecEdgar.daily_index

    def run(run_id: str) -> Run:
        return Run(dag_id="sec_financials", run_id=run_id, partition_key=run_id, engine=engine, landing=landing)

    def due() -> set[int]:
        return {cik for batch in sec_financials.plan(run("due")) for cik in batch["ciks"]}

    def publish(run_id: str) -> None:
        base.run_load(LOADS["sec_financials"], run(run_id))

    since, until = BEFORE.date() - timedelta(days=sec_financials.LATE_DAYS), market.default_clock.date()
    days = {
        cik: {f.filed_on for f in market.filings(market.company(cik)) if since <= f.filed_on <= until}
        for cik in market.ciks
    }
    waits, day = next((cik, min(on)) for cik, on in days.items() if len(on) == 1 and min(on) > BEFORE.date())
    asked = []

    def page(self: SecEdgar, of: date) -> Answer:
        asked.append(of)
        answer = index(self, of)
        body = b'<?xml version="1.0"?><Error><Code>InternalError</Code></Error>'
        return dataclasses.replace(answer, body=body) if of == day else answer

    monkeypatch.setattr(SecEdgar, "daily_index", page)
    box.clock = market.default_clock
    failed = next(cik for cik in market.ciks if not days[cik])
    failures.record(engine, "sec_edgar", "companyfacts", f"{failed:010d}", "a test", "d", "r")
    assert due() == {cik for cik, on in days.items() if on - {day}} | {failed}
    publish("goes on")
    assert asked.count(day) == 4  # twice a plan
    assert failures.pending(engine, "sec_edgar", "daily_index") == [day.isoformat()]
    monkeypatch.setattr(SecEdgar, "daily_index", index)

    box.clock += timedelta(days=20)
    failures.record(engine, "sec_edgar", "companyfacts", f"{failed:010d}", "a test", "d", "r")
    assert {waits, failed} <= due()
    with killed_before_publishing("financials"):
        publish("killed")
    assert failures.pending(engine, "sec_edgar", "daily_index") == []
    assert {waits, failed} <= due()
    publish("whole")
    assert _published(engine, box.clock) == _truth(market, box.clock)
    assert not {waits, failed} & due()


def test_most_days_unreadable_stop_the_plan_and_a_day_that_had_an_index_is_not_forgotten(database, landing):
    days = [date(2025, 12, day) for day in (1, 2, 3, 4)]
    said: dict[date, list[bytes | None]] = {day: [b"<Error/>", b"<Error/>"] for day in days[:3]}
    said[days[3]] = [b"Form Type\n-----\n"]

    class Hook:
        def daily_index(self, day: date) -> Answer:
            if (body := said[day].pop(0)) is None:
                raise NotFound("sec_edgar", "daily_index", day.isoformat(), 404, "not there")
            return Answer(
                vendor="sec_edgar", endpoint="daily_index", key=day.isoformat(), request={"method": "GET"}, body=body,
                content_type=None, answered_at=BEFORE, fetched_at=BEFORE,
            )  # fmt: skip

    def read(days: list[date]) -> tuple[list[date], list[date]]:
        run, unread = Run(dag_id="d", run_id="r", partition_key="p", engine=database, landing=landing), []
        return [day for day, _, _ in daily_indexes.read(run, Hook(), dict.fromkeys(days), unread)], unread

    with pytest.raises(ValueError, match=r"3 of 4 days cannot be read, first 2025-12-01, .*no header with 'Form Type'"):
        read(days)
    said |= {days[0]: [b"<Error/>", None], days[1]: [None], days[3]: [b"Form Type\n-----\n"]}
    assert read([days[0], days[1], days[3]]) == ([days[3]], [days[0]])


def _filed(market, since=BEFORE.date()):
    return {
        cik
        for cik in market.ciks
        for filing in market.filings(market.company(cik))
        if since <= filing.filed_on <= market.default_clock.date()
    }


def _published(engine, as_of):
    rows = db.query(engine, "financials_as_of", as_of=as_of, ciks=None)
    return sorted(rows.select("cik", "period_type", "period_end", "revenue", "total_assets").rows(), key=str)


def _truth(market, as_of):
    rows = market.truth.statements(as_of)
    return sorted(rows.select("cik", "period_type", "period_end", "revenue", "total_assets").rows(), key=str)
