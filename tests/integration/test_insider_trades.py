"""Ownership filings of the simulated insiders through the whole path: ground truth equals the published tables."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl
import pytest
from load_steps import killed_before_publishing
from sqlalchemy import Engine, make_url, text

from closingbell import connections
from closingbell.edgar import submission_documents
from closingbell.hooks import open_hook
from closingbell.hooks.errors import NotFound, ServerError, VendorError
from closingbell.hooks.sec_edgar import SecEdgar
from closingbell.landing import DryLanding, Landing
from closingbell.pipelines import LOADS, base, insider_activity, insider_trades
from closingbell.pipelines.base import Run
from closingbell.sandbox.faults import rates
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.sandbox.simulated import insider_truth
from closingbell.sandbox.simulated.insiders import OUTSIDE_CIK
from closingbell.sessions import NEW_YORK, last_sessions
from closingbell.settings import settings
from closingbell.warehouse import db, failures

FAULTS = '{"429": 0.05, "5xx": 0.05, "truncated": 0.03, "duplicates": 0.2, "retry_after": 0.01}'
KEY = ["accession_no", "is_derivative", "row_no"]
DAYS = 25
PAIR = ("insider_trades", "insider_activity")


@dataclasses.dataclass
class Deployment:
    """A warehouse with the universe, a landing zone, and the sandbox that the connections point at."""

    engine: Engine
    landing: Landing
    box: Sandbox

    def run(self, run_id: str, *, names: tuple[str, ...] = PAIR, **params: Any) -> dict[str, dict[str, int]]:
        """Both loads as a DAG run makes them: {load and table: counts}."""
        counts = {}
        for name in names:
            run = Run(
                dag_id="insider_trades", run_id=run_id, partition_key="2025-12-05", engine=self.engine,
                landing=self.landing, params=params,
            )  # fmt: skip
            counts |= {f"{name} {table}": row for table, row in base.run_load(LOADS[name], run).items()}
        return counts

    def plan(self, **params: Any) -> list[dict[str, Any]]:
        run = Run(
            dag_id="insider_trades", run_id="plan", partition_key="2025-12-05", engine=self.engine,
            landing=self.landing, params=params,
        )  # fmt: skip
        return base.plan(LOADS["insider_trades"], run)

    def at(self, day: date, hour: int, minute: int = 0) -> None:
        """Move the vendors' clock to an hour of New York."""
        self.box.clock = datetime.combine(day, time(hour, minute), NEW_YORK).astimezone(UTC)

    def table(self, name: str) -> pl.DataFrame:
        with self.engine.connect() as connection:
            rows = connection.execute(text(f"SELECT * FROM closingbell.{name}")).mappings().all()
        return pl.DataFrame([dict(row) for row in rows], infer_schema_length=None)

    def figis(self) -> pl.DataFrame:
        return db.query(self.engine, "securities_all").select("security_id", "figi")

    def indexes(self) -> dict[str, int]:
        """How often the index of each day was read."""
        with self.engine.connect() as connection:
            statement = "SELECT key, count(*) FROM ops.landings WHERE endpoint = 'daily_index' GROUP BY key"
            return dict(connection.execute(text(statement)).tuples().all())

    def filings_from(self) -> dict[date, date]:
        """What each session's sums say of the day that filings are loaded from; each session says one day."""
        rows = self.table("insider_activity").select("session", "filings_from").unique()
        assert rows["session"].is_unique().all()
        return dict(rows.iter_rows())

    def unmatched(self, run_id: str) -> list[str]:
        """The amendments of which the run's audit warns that they restate nothing."""
        statement = text(
            "SELECT observed FROM ops.audit_results JOIN ops.stages USING (stage_id) WHERE run_id = :run_id "
            "AND part = 'amendments' AND expectation = 'amendments_matched' AND severity = 'warning'"
        )
        with self.engine.connect() as connection:
            observed = connection.execute(statement, {"run_id": run_id}).scalar_one()
        assert observed["unexpected"] == len(observed["rows"])
        return [row["accession_no"] for row in observed["rows"]]

    def asked(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.scalar(text("SELECT count(*) FROM ops.landings WHERE endpoint = 'ownership'")) or 0)


@pytest.fixture(scope="module")
def market() -> Any:
    return open_market("simulated", seed=7, companies=25)


@pytest.fixture(scope="module")
def template(market, new_database, migrated_template, tmp_path_factory) -> str:
    """Name of a database with the universe of this market, for cloning."""
    url = new_database(migrated_template)
    for deployment in deployed(market, url, tmp_path_factory.mktemp("universe")):
        deployment.run("universe", names=("universe",))
    name = str(make_url(url).database)
    with db.engine(make_url(url).set(database="postgres")).connect() as connection:  # a clone needs it to itself
        ended = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ended, {"name": name})
    return name


def deployed(market: Any, url: str, folder: Any, faults: str = "") -> Iterator[Deployment]:
    box = Sandbox(market, mode="simulated", seed=7, faults=rates(faults) if faults else None)
    with pytest.MonkeyPatch.context() as environment, running(box) as address:
        for name, value in connections.environment(address).items():
            environment.setenv(name, value)
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        settings.cache_clear()
        engine = db.engine(url)
        yield Deployment(engine, Landing(str(folder), engine), box)
    settings.cache_clear()


@pytest.fixture(scope="module")
def clean(market, template, new_database, tmp_path_factory) -> Iterator[Deployment]:
    """The first load: an empty table fills itself with 90 days."""
    for deployment in deployed(market, new_database(template), tmp_path_factory.mktemp("clean")):
        deployment.run("first")
        yield deployment


def first_day(market: Any) -> date:
    return market.default_clock.astimezone(NEW_YORK).date() - timedelta(days=90)


def from_weekend(day: date) -> date:
    """The day, or the Saturday before it where it is a Sunday: nothing is filed then."""
    return day - timedelta(days=max(0, day.weekday() - 5))


def assert_trades(deployment: Deployment, truth: pl.DataFrame) -> None:
    stored = deployment.table("insider_trades").join(deployment.figis(), on="security_id", how="left")
    stored = stored.select(list(insider_truth.TRADES)).cast(insider_truth.TRADES).sort(KEY)
    assert stored.select(KEY).rows() == truth.select(KEY).rows()
    for name in insider_truth.TRADES:
        wrong = stored.select(list(dict.fromkeys((*KEY, name)))).filter(~pl.col(name).eq_missing(truth[name]))
        assert wrong.is_empty(), (name, wrong.head(5), truth.join(wrong.select(KEY), on=KEY).head(5))


def assert_activity(deployment: Deployment, market: Any, session: date, since: date) -> None:
    truth = market.truth.insider_activity(session, filed_from=since)
    stored = deployment.table("insider_activity").filter(pl.col("session") == session)
    stored = stored.join(deployment.figis(), on="security_id").select(list(insider_truth.ACTIVITY)).sort("figi")
    assert stored["figi"].to_list() == truth["figi"].to_list(), session
    for name in list(insider_truth.ACTIVITY)[2:]:
        both = pl.DataFrame({"figi": truth["figi"], "stored": stored[name], "truth": truth[name]})
        close = (pl.col("stored") - pl.col("truth")).abs() <= 1e-9 * pl.col("truth").abs() + 1e-6
        same = pl.col("stored").eq_missing(pl.col("truth")) | close
        assert both.filter(~same.fill_null(False)).is_empty(), (session, name, both)


def test_ninety_days_fill_an_empty_table_and_equal_the_ground_truth(clean, market):
    truth = market.truth.insider_trades(market.default_clock, filed_from=first_day(market))
    assert truth.height > 150
    assert truth["superseded_by"].drop_nulls().len() >= 3
    assert truth.filter(pl.col("owner_ciks").list.len() == 2).height >= 3
    assert_trades(clean, truth)
    assert clean.unmatched("first") == []


def test_buying_equals_the_ground_truth_on_every_session_looked_at(clean, market):
    for session in last_sessions(market.last_session, 12):
        assert_activity(clean, market, session, first_day(market))


def test_sums_say_from_which_day_filings_are_loaded(clean, market):
    found = clean.filings_from()
    assert found[market.last_session] == market.last_session - timedelta(days=89)  # the ninety days are whole
    assert found[last_sessions(market.last_session, 12)[0]] == from_weekend(first_day(market))


def test_an_issuer_outside_the_universe_is_stored_without_a_security(clean):
    outside = clean.table("insider_trades").filter(pl.col("security_id").is_null())
    assert outside["issuer_name"].unique().to_list() == ["Unlisted Harbor Trust"]


def test_joint_filers_share_one_row_and_the_issuer_is_not_its_owner(clean):
    rows = clean.table("insider_trades")
    joint = rows.filter(pl.col("owner_ciks").list.len() == 2)
    assert joint.select(KEY).is_unique().all()
    assert not rows.filter(pl.col("owner_ciks").list.contains(pl.col("issuer_cik"))).height


def test_an_identical_rerun_asks_for_no_document_changes_no_row_and_says_nothing_of_the_audits_folders(clean, caplog):
    caplog.set_level(logging.INFO)
    before, indexes = clean.asked(), clean.indexes()
    for params in ({}, {"backfill": 30, "hours": 48}):
        for table, counts in clean.run(f"again {params}", **params).items():
            assert counts["inserted"] == counts["updated"] == counts["deleted"] == 0, (table, counts)
        assert params or clean.indexes() == indexes
    assert not [record for record in caplog.records if record.name.startswith("great_expectations")]
    assert clean.asked() == before


def test_a_narrow_run_does_not_end_the_first_fill(market, template, new_database, tmp_path, monkeypatch):
    monkeypatch.setattr(insider_trades, "FIRST_DAYS", DAYS)
    today = market.default_clock.astimezone(NEW_YORK).date()
    days = [today - timedelta(days=back) for back in range(1, DAYS + 1)]
    for narrow in deployed(market, new_database(template), tmp_path):
        narrow.run("narrow", backfill=3)
        assert 0 < len(narrow.indexes()) < 4
        narrow.run("filled")
        assert {day for day in days if market.insiders.indexed(day)} <= {
            date.fromisoformat(day) for day in narrow.indexes()
        }
        assert_trades(narrow, market.truth.insider_trades(market.default_clock, filed_from=days[-1]))
        before = narrow.indexes()
        narrow.plan()
        assert {day for day, count in narrow.indexes().items() if count > before.get(day, 0)} <= {today.isoformat()}


def test_days_seen_by_scheduled_runs_equal_the_ground_truth_and_amendments_mark_rows_of_earlier_runs(
    market, template, new_database, tmp_path, clean, monkeypatch
):
    """Forms 4 come by the feed within the day, forms 3 and 5 by the index of the night."""
    filings = [f for f in market.insiders.filings if f.original and f.accepted < market.default_clock]
    amendment = [f for f in filings if (f.filed_on - f.original.filed_on).days < 20][-1]
    days = last_sessions(amendment.filed_on, 3)
    since = days[0] - timedelta(days=DAYS)
    monkeypatch.setattr(insider_trades, "FIRST_DAYS", DAYS)
    marked = 0
    for hourly in deployed(market, new_database(template), tmp_path):
        hourly.at(days[0], 22, 30)
        hourly.run("fill")
        for day in days[1:]:
            hourly.at(day, 16, 30)
            marked += hourly.run(f"{day} close")["insider_activity insider_trades"]["updated"]
            known = market.truth.insider_trades(market.close(day), filed_from=day)
            of_feed = known.filter(pl.col("form").str.starts_with("4"))["accession_no"]
            assert set(of_feed) <= set(hourly.table("insider_trades")["accession_no"]), day
            hourly.at(day, 22, 30)
            marked += hourly.run(f"{day} night")["insider_activity insider_trades"]["updated"]
        assert marked >= 1
        assert_trades(hourly, market.truth.insider_trades(hourly.box.clock, filed_from=since))
        for session in days:
            assert_activity(hourly, market, session, since)
        with hourly.engine.connect() as connection:
            statement = "SELECT count(*) FROM ops.revisions WHERE table_name = 'insider_trades'"
            assert connection.scalar(text(statement)) == marked
        # the index that was read on its own evening is read once more
        hourly.at(days[-1] + timedelta(days=1), 6)
        for counts in hourly.run("next morning").values():
            assert counts["inserted"] == counts["updated"] == counts["deleted"] == 0
        assert hourly.indexes()[days[-1].isoformat()] == 2
        # a backfill makes sums of days before it whole
        assert hourly.filings_from() == {session: from_weekend(since) for session in hourly.filings_from()}
        longer = since - timedelta(days=20)
        hourly.run("longer", backfill=(hourly.box.clock.astimezone(NEW_YORK).date() - longer).days)
        assert hourly.filings_from()[days[-1]] == from_weekend(longer)
        for session in days:
            assert_activity(hourly, market, session, longer)


def test_faults_change_no_row(market, template, new_database, tmp_path, clean):
    for faulty in deployed(market, new_database(template), tmp_path, FAULTS):
        for attempt in range(6):
            with contextlib.suppress(VendorError):  # what a task would retry
                faulty.run(f"try {attempt}", backfill=DAYS)
            waiting = db.query(faulty.engine, "doctor_failures")
            if attempt and waiting.is_empty():
                break
        since = first_day(market) + timedelta(days=90 - DAYS)
        assert_trades(faulty, market.truth.insider_trades(market.default_clock, filed_from=since))
        assert_activity(faulty, market, market.last_session, since)


def test_a_filing_that_is_listed_and_does_not_come_at_once_is_published_whatever_becomes_of_the_runs_between(
    market, template, new_database, tmp_path, monkeypatch
):
    """One is not there yet (404), one fails (503), the index of one day cannot be read; then a run ends too soon."""
    monkeypatch.setattr(insider_trades, "FIRST_DAYS", 4)
    ownership, daily_index = SecEdgar.ownership, SecEdgar.daily_index
    for dep in deployed(market, new_database(template), tmp_path):
        late = dict(zip(dep.plan()[0]["filings"], (NotFound, ServerError), strict=False))

        def failing(self: SecEdgar, cik: str, accession: str, late: Any = late) -> Any:
            if error := late.get(f"{cik}/{accession}"):
                raise error("sec_edgar", "ownership", accession, 500, "not now")
            return ownership(self, cik, accession)

        monkeypatch.setattr(SecEdgar, "ownership", failing)
        dep.run("first", names=PAIR[:1])
        assert failures.pending(dep.engine, "sec_edgar", "ownership") == sorted(late)
        monkeypatch.setattr(SecEdgar, "ownership", ownership)
        dep.box.clock += timedelta(days=1)
        with killed_before_publishing("insider_trades"):
            dep.run("killed", names=PAIR[:1])
        dep.run("next", names=PAIR[:1])
        assert {path.rpartition("/")[2] for path in late} <= set(dep.table("insider_trades")["accession_no"])
        assert dep.plan()[0]["filings"] == failures.pending(dep.engine, "sec_edgar", "ownership") == []

        # an index that cannot be read is no index that was read: the day is asked for again
        day = market.last_session
        answer = daily_index(open_hook("sec_edgar", dep.engine), day)
        page = dataclasses.replace(answer, body=b'<?xml version="1.0"?><Error><Code>InternalError</Code></Error>')
        with dep.engine.begin() as connection:
            connection.execute(text("TRUNCATE ops.published_landings"))
        pages = {day: page}
        monkeypatch.setattr(SecEdgar, "daily_index", lambda self, of, p=pages: p.get(of) or daily_index(self, of))
        dep.run("unread", names=PAIR[:1])
        assert failures.pending(dep.engine, "sec_edgar", "daily_index") == [day.isoformat()]
        state = "insider_lists_read"
        assert day.isoformat() not in db.query(dep.engine, state)["indexed"][0]
        monkeypatch.setattr(SecEdgar, "daily_index", daily_index)
        dep.run("read", names=PAIR[:1])
        assert day.isoformat() in db.query(dep.engine, state)["indexed"][0]
        assert failures.pending(dep.engine, "sec_edgar", "daily_index") == []


def test_a_feed_of_another_shape_stops_the_run_and_names_the_column(clean):
    clean.box.faults.change(rates('{"drift": 1}'))
    with pytest.raises(ValueError, match=r"sec_edgar getcurrent: entry 1 \(.*\) lacks .* updated"):
        clean.run("drifted")
    clean.box.faults.change(rates("{}"))


def test_documents_somebody_has_load_or_are_quarantined_by_name(market, template, new_database, tmp_path):
    """Headers from the submission, from metadata beside a document, from its name; hostile ones stop nobody."""
    folder = tmp_path / "documents"
    folder.mkdir()
    amendment = next(f for f in reversed(market.insiders.filings) if f.original and f.accepted < market.default_clock)
    original = amendment.original
    alone = next(f for f in market.insiders.filings if f.original and f.original.accession_no != original.accession_no)
    by_name = next(f for f in market.insiders.filings if f.form == "4" and f.filed_on.year == 2025 and f.lines)

    def xml(filing: Any) -> bytes:
        return submission_documents(market.ownership(filing.accession_no, market.default_clock).encode())[0]

    for number, filing in enumerate((amendment, alone)):
        (folder / f"amended {number}.txt").write_text(market.ownership(filing.accession_no, market.default_clock))
    (folder / f"{original.accession_no}.xml").write_bytes(xml(original))
    fields = {"ACCESSION-NUMBER": original.accession_no, "FILING-DATE": f"{original.filed_on:%Y%m%d}", "TYPE": "4"}
    (folder / f"{original.accession_no}.metadata.json").write_text(json.dumps({"submission": fields}))
    (folder / f"form4_{by_name.filed_on}_{by_name.accession_no}.xml").write_bytes(xml(by_name))
    (folder / "form4_2025-03-04_a1b2c3.xml").write_bytes(xml(by_name))
    doctype = (
        b'<?xml version="1.0"?><!DOCTYPE ownershipDocument [<!ENTITY a "x">]><ownershipDocument>&a;</ownershipDocument>'
    )
    (folder / "0000000001-25-000001.xml").write_bytes(doctype)
    bomb = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">'
        + bomb
        + b"]><ownershipDocument>&l11;</ownershipDocument>"
    )
    (folder / "0000000001-25-000002.xml").write_bytes(bomb)
    (folder / "0000000001-25-000003.xml").write_bytes(xml(by_name)[:900])
    (folder / "0000000001-25-000004.xml").write_bytes(
        xml(original).replace(b"<transactionCode>", b"<transactionCode>Q")
    )
    (folder / "0000000001-25-000005.xml").write_bytes(
        xml(original).replace(f"<value>{original.lines[0].day.year}-".encode(), b"<value>0025-")
    )
    used = {amendment.accession_no, alone.accession_no, original.accession_no, by_name.accession_no}
    monday = next(
        f
        for f in reversed(market.insiders.filings)
        if f.form == "4" and f.filed_on.weekday() == 0 and f.lines and f.accession_no not in used
        and f.accepted < market.default_clock
    )  # fmt: skip
    friday = datetime.combine(monday.filed_on - timedelta(days=3), time(22, 5), NEW_YORK)
    header, _, rest = market.ownership(monday.accession_no, market.default_clock).partition("<ACCEPTANCE-DATETIME>")
    (folder / "after_ten.txt").write_text(f"{header}<ACCEPTANCE-DATETIME>{friday:%Y%m%d%H%M%S}{rest[14:]}")
    named = {f"0000000001-25-00000{n}": original.filed_on for n in (4, 5)}
    for accession, day in named.items():
        beside = {"ACCESSION-NUMBER": accession, "FILING-DATE": f"{day:%Y%m%d}"}
        (folder / f"{accession}.metadata.json").write_text(json.dumps({"submission": beside}))
    for deployment in deployed(market, new_database(template), tmp_path / "landing"):
        with pytest.MonkeyPatch.context() as few:  # which a dry run plans, landing nothing
            few.setattr(insider_trades, "DOCUMENTS_PER_BATCH", 4)
            dry = dataclasses.replace(deployment, landing=DryLanding(str(tmp_path / "dry"), deployment.engine))
            keys = [batch["key"] for batch in dry.plan(from_files=[str(folder)])]
        assert keys == ["001 of 003, 4 files", "002 of 003, 4 files", "003 of 003, 3 files"]
        assert not deployment.asked()
        counts = deployment.run("files", from_files=[str(folder)])
        stored = deployment.table("insider_trades")
        assert set(stored["accession_no"]) == used | {monday.accession_no}
        late = stored.filter(accession_no=monday.accession_no)
        assert late.select("known_at", "filed_on").unique().rows() == [(friday.astimezone(UTC), monday.filed_on)]
        nights = stored.filter(pl.col("accession_no").is_in([original.accession_no, by_name.accession_no]))
        nights = nights.select("known_at", "filed_on").unique()
        for known_at, filed_on in nights.iter_rows():  # no acceptance time: when EDGAR closes
            assert known_at == datetime.combine(filed_on, time(22), NEW_YORK)
        marked = stored.filter(pl.col("superseded_by").is_not_null())
        assert marked["superseded_by"].to_list() == [amendment.accession_no]
        assert counts["insider_activity insider_trades"]["updated"] == 1
        with deployment.engine.connect() as connection:
            rules = text("SELECT rule, count(*) FROM ops.quarantine GROUP BY rule")
            found = {rule: rows for rule, rows in connection.execute(rules)}
        assert found == {
            "no accession": 1,
            "document type declaration": 2,
            "not well-formed XML": 1,
            "unknown transaction code": len(original.lines),
            "traded_in_living_memory": len(original.lines),
        }
        assert (
            deployment.table("insider_activity")["filings_from"].null_count()
            == deployment.table("insider_activity").height
        )  # no index was read
        assert deployment.unmatched("files") == [alone.accession_no]
        with pytest.MonkeyPatch.context() as exact:
            exact.setattr(insider_activity, "OVERLAP", timedelta(0))
            again = deployment.run("files again", from_files=[str(folder)])
        assert deployment.unmatched("files again") == [], "it is shown by the run that brought it"
        assert not any(count[kind] for count in again.values() for kind in ("inserted", "updated", "deleted"))


def test_a_file_without_its_acceptance_time_does_not_undo_the_one_that_is_stored(clean, market, tmp_path):
    number = clean.table("insider_trades").filter(pl.col("transaction_code") == "S")["accession_no"].item(0)
    filing = market.insiders.by_accession[number]
    document = submission_documents(market.ownership(number, market.default_clock).encode())[0]
    (tmp_path / f"form4_{filing.filed_on}_{number}.xml").write_bytes(document)
    before = clean.table("insider_trades").sort(KEY)
    clean.run("newer file", from_files=[str(tmp_path)])
    assert clean.table("insider_trades").sort(KEY).equals(before)


def test_replay_makes_the_same_rows_and_marks_without_a_vendor(clean, monkeypatch):
    before = {name: clean.table(name).drop("fetched_at").sort(pl.all()) for name in PAIR}
    clean.box.faults.change(rates('{"5xx": 1}'))
    with clean.engine.begin() as connection:
        connection.execute(text("DELETE FROM closingbell.insider_trades"))
        connection.execute(text("DELETE FROM closingbell.insider_activity"))
    for name in PAIR:
        run = Run(
            dag_id=f"replay_{name}", run_id="replay", partition_key="2025-12-05", engine=clean.engine,
            landing=clean.landing,
        )  # fmt: skip
        base.replay(LOADS[name], run)
    for name in PAIR:
        after = clean.table(name).drop("fetched_at").sort(pl.all())
        assert after.equals(before[name]), name


def test_an_issuer_that_joins_the_universe_later_gets_its_security_and_its_sums(clean, market):
    """Last in the file: it adds a security."""
    statement = (
        "INSERT INTO closingbell.securities (security_id, cik, name, type, figi, fetched_at)"
        " VALUES (:id, :cik, 'Unlisted Harbor Trust', 'CS', 'BBG-later', now())"
    )
    with clean.engine.begin() as connection:
        connection.execute(text(statement), {"id": OUTSIDE_CIK * 1000 + 1, "cik": OUTSIDE_CIK})
    clean.box.faults.change(rates("{}"))
    rows = clean.table("insider_trades").filter(pl.col("issuer_cik") == OUTSIDE_CIK)
    outside, first = rows.height, rows["known_at"].min().astimezone(NEW_YORK).date()
    assert outside >= 2
    touched = db.query(clean.engine, "insiders_touched", since=datetime.now(UTC) + timedelta(hours=1))
    assert touched.rows() == [(OUTSIDE_CIK, first, False)], "nothing is new but the share"
    counts = clean.run("joined")
    assert counts["insider_activity insider_trades"]["updated"] == outside
    sums = clean.table("insider_activity").filter(pl.col("security_id") == OUTSIDE_CIK * 1000 + 1)
    last = sums.filter(pl.col("session") == market.last_session)
    bought = clean.table("insider_trades").filter(
        (pl.col("issuer_cik") == OUTSIDE_CIK) & (pl.col("transaction_date") > market.last_session - timedelta(days=90))
    )
    assert last["net_shares_90d"].to_list() == [bought["shares"].sum()]
    later = {"since": datetime.now(UTC) + timedelta(hours=1)}
    assert db.query(clean.engine, "insiders_touched", **later).is_empty()
    preferred = (
        f"UPDATE closingbell.insider_trades SET security_id = NULL WHERE accession_no = '{rows['accession_no'][0]}'"
    )
    with clean.engine.begin() as connection:
        connection.execute(text(preferred))
    assert db.query(clean.engine, "insiders_touched", **later)["new"].to_list() == [False]
    everything = db.query(clean.engine, "insiders_touched", since=None)
    assert everything["new"].all()
    assert everything.height == clean.table("insider_trades")["issuer_cik"].n_unique()
