"""The simulated institutions' own account against the published tables, clean, again and with faults; hostile zips."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from load_steps import killed_before_publishing
from sqlalchemy import Engine, make_url, text

from closingbell import connections, edgar
from closingbell.archives import ArchiveRefused
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import VendorError
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base, cusips, institutional_holdings
from closingbell.pipelines.base import Run
from closingbell.sandbox.faults import rates
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.sandbox.simulated import institutions as made
from closingbell.sandbox.simulated.companies import new_york
from closingbell.sessions import NEW_YORK, close_of
from closingbell.settings import settings
from closingbell.warehouse import db, failures

PIPELINES = ("cusips", "institutional_holdings", "institutional_ownership")
TABLES = ("cusip_history", "institutional_filings", "institutional_holdings", "institutional_ownership")
FAULTS = '{"429": 0.1, "5xx": 0.05, "truncated": 0.03, "duplicates": 0.05}'


@dataclasses.dataclass
class Deployment:
    engine: Any
    landing: Landing
    market: Any
    address: str

    def run(self, name: str, run_id: str, **params: Any) -> dict[str, dict[str, int]]:
        run = Run(dag_id=name, run_id=run_id, partition_key="2025-12-05", engine=self.engine, landing=self.landing,
                  params=params)  # fmt: skip
        return base.run_load(LOADS[name], run)

    def load(self, run_id: str, **params: Any) -> dict[str, dict[str, int]]:
        return {table: counts for name in PIPELINES for table, counts in self.run(name, run_id, **params).items()}

    def rows(self, statement: str, **params: Any) -> pl.DataFrame:
        with self.engine.connect() as connection:
            found = connection.execute(text(statement), params).mappings()
            return pl.DataFrame([dict(row) for row in found], infer_schema_length=None)

    def contents(self, table: str) -> list[str]:
        statement = f"SELECT (to_jsonb(t) - 'landing_id' - 'fetched_at')::text FROM closingbell.{table} t ORDER BY 1"
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement)).scalars())

    @property
    def figis(self) -> dict[str, int]:
        return dict(db.query(self.engine, "securities_all").select("figi", "security_id").iter_rows())


@pytest.fixture(scope="module")
def market() -> Any:
    return open_market("simulated", seed=7, companies=25)


def deployed(
    market: Any, url: str, folder: Path, faults: str = "", clock: datetime | None = None
) -> Iterator[Deployment]:
    box = Sandbox(market, mode="simulated", seed=7, clock=clock, faults=rates(faults) if faults else None)
    with pytest.MonkeyPatch.context() as environment, running(box) as address:
        for name, value in connections.environment(address).items():
            environment.setenv(name, value)
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        environment.setenv("CLOSINGBELL_MARKET_ENDS_ON", market.last_session.isoformat())
        settings.cache_clear()
        engine = db.engine(url)
        yield Deployment(engine, Landing(str(folder), engine), market, address)
    settings.cache_clear()


@pytest.fixture(scope="module")
def listed(market: Any, new_database: Any, migrated_template: str, tmp_path_factory: Any) -> str:
    """Name of a database with the market's securities, for cloning."""
    url = new_database(migrated_template)
    for deployment in deployed(market, url, tmp_path_factory.mktemp("listed")):
        deployment.run("universe", "first")
    name = str(make_url(url).database)
    with db.engine(make_url(url).set(database="postgres")).connect() as connection:  # clones wait until none is open
        ended = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ended, {"name": name})
    return name


@pytest.fixture(scope="module")
def clean(market: Any, new_database: Any, listed: str, tmp_path_factory: Any) -> Iterator[Deployment]:
    """An empty table that fills itself: four quarters."""
    for deployment in deployed(market, new_database(listed), tmp_path_factory.mktemp("clean")):
        deployment.load("first")
        yield deployment


def of_sets(report: made.Report, market: Any) -> bool:
    """Whether a data set has the filing, so that its acceptance is not known."""
    return report.filed_on <= date(2025, 8, 31)


def loaded(market: Any) -> list[made.Report]:
    """The filings of four quarters' data sets, and those after the last of them."""
    return [r for r in market.institutions.known(market.default_clock) if r.filed_on >= date(2024, 12, 1)]


def known_at(report: made.Report, market: Any) -> datetime:
    return new_york(report.filed_on, 22) if of_sets(report, market) else report.accepted


def test_holdings_equal_the_ground_truth(clean, market):
    figis = clean.figis
    expected = {}
    for report in loaded(market):
        for number, line in enumerate(report.lines, 1):
            security = figis[line.listing.figi] if line.listing else None
            put_call = line.put_call.lower() if line.put_call else None
            value = float(report.value(line) * report.unit)
            expected[report.accession_no, number] = (
                report.cik, report.quarter, line.cusip, security, put_call, line.shares, line.principal, value,
                known_at(report, market),
            )  # fmt: skip
    rows = clean.rows(
        "SELECT accession_no, row_no, institution_cik, quarter, cusip, security_id, put_call, shares, principal, "
        "market_value, known_at FROM closingbell.institutional_holdings"
    )
    found = {row[:2]: row[2:] for row in rows.iter_rows()}
    assert len(expected) > 1500
    assert found.keys() == expected.keys()
    assert {key: (found[key], row) for key, row in expected.items() if found[key] != row} == {}


def test_filings_equal_the_ground_truth_and_say_what_does_not_add_up(clean, market):
    rows = clean.rows("SELECT * FROM closingbell.institutional_filings")
    found = {row["accession_no"]: row for row in rows.iter_rows(named=True)}
    reports = {report.accession_no: report for report in loaded(market)}
    assert found.keys() == reports.keys()
    for accession, report in reports.items():
        row = found[accession]
        assert (row["form"], row["amendment_type"], row["quarter"]) == (report.form, report.amendment, report.quarter)
        assert (row["rows"], row["value_unit"]) == (len(report.lines), report.unit)
        assert row["known_at"] == known_at(report, market)
        wrong = ["entry total"] if report.manager == made.MISCOUNTS else []
        assert row["problems"] == wrong
        assert row["reconciled"] is (None if report.is_notice else not wrong)


def standing(market: Any, reports: list[made.Report], quarter: date, as_of: datetime) -> dict[int, list[made.Line]]:
    """Each manager's lines of a quarter as a moment knew them, what another reports for it left out."""
    held: dict[int, list[made.Line]] = {}
    for report in sorted(reports, key=lambda report: (known_at(report, market), report.accession_no)):
        if report.quarter == quarter and known_at(report, market) <= as_of:
            before = held.get(report.manager, []) if report.amendment == "NEW HOLDINGS" else []
            held[report.manager] = [*before, *report.lines]
    if made.PARENT in held and made.SUBSIDIARY in held:
        twice = {(line.cusip, line.shares) for line in held[made.PARENT] if line.others}
        held[made.SUBSIDIARY] = [line for line in held[made.SUBSIDIARY] if (line.cusip, line.shares) not in twice]
    return held


def test_ownership_is_what_each_close_knew(clean, market):
    reports = loaded(market)
    for quarter, session in (
        (date(2025, 6, 30), date(2025, 7, 25)),  # some have filed
        (date(2025, 6, 30), date(2025, 8, 29)),
        (date(2025, 9, 30), date(2025, 11, 14)),
        (date(2025, 9, 30), date(2025, 12, 5)),
    ):
        values: dict[str, list[Any]] = {figi: [set(), 0, 0.0, 0, 0] for figi in clean.figis}
        units = {report.manager: report.unit for report in reports if report.quarter == quarter}
        for manager, lines in standing(market, reports, quarter, close_of(session)).items():
            for line in lines:
                if line.listing is None:
                    continue
                holders, *_ = of = values[line.listing.figi]
                if line.put_call:
                    of[3 if line.put_call == "Put" else 4] += line.shares
                    continue
                holders.add(manager)
                of[1] += line.shares
                of[2] += round(line.dollars / units[manager]) * units[manager]
        expected = {clean.figis[figi]: (len(v[0]), *v[1:]) for figi, v in values.items() if v[0] or v[3]}
        rows = clean.rows(
            "SELECT DISTINCT ON (security_id) security_id, holders, shares, market_value, put_shares, call_shares "
            "FROM closingbell.institutional_ownership WHERE quarter = :quarter AND session <= :session "
            "ORDER BY security_id, session DESC",
            quarter=quarter,
            session=session,
        )
        found = {row[0]: row[1:] for row in rows.iter_rows() if row[1] or row[4]}
        assert len(expected) > 15
        assert found == expected, (quarter, session)


def test_a_rerun_changes_nothing(clean):
    before = {table: clean.contents(table) for table in TABLES}
    counts = clean.load("again")
    assert {table: [c[n] for n in ("inserted", "updated", "deleted")] for table, c in counts.items()} == {
        table: [0, 0, 0] for table in TABLES
    }
    assert {table: clean.contents(table) for table in TABLES} == before


def test_a_replay_changes_nothing(clean):
    before = {table: clean.contents(table) for table in TABLES}
    for name in PIPELINES:
        run = Run(dag_id=f"replay_{name}", run_id="replay", partition_key="2025-12-05", engine=clean.engine,
                  landing=clean.landing)  # fmt: skip
        counts = base.replay(LOADS[name], run)
        assert {c[n] for c in counts.values() for n in ("inserted", "updated", "deleted")} == {0}, (name, counts)
    assert {table: clean.contents(table) for table in TABLES} == before


def test_a_quarter_by_name_brings_its_data_set_and_thousands_become_dollars(clean, market):
    counts = clean.load("2022", quarters=["2022Q3"])
    assert counts["institutional_filings"]["inserted"] == len(market.institutions.filed_between(
        date(2022, 10, 1), date(2022, 12, 31)))  # fmt: skip
    rows = clean.rows(
        "SELECT DISTINCT value_unit, unit_source FROM closingbell.institutional_filings "
        "WHERE quarter = '2022-09-30' AND rows > 10"
    )
    assert rows.rows() == [(1000.0, "price")]
    counts = clean.load("2024", quarters=["2023Q4"])  # the filer who goes on in thousands
    assert counts["institutional_filings"]["inserted"] > 30
    wrong = clean.rows(
        "SELECT institution_cik, value_unit FROM closingbell.institutional_filings "
        "WHERE 'unit against the rule' = ANY(problems)"
    )
    assert wrong.rows() == [(made.manager_cik(made.WRONG_UNIT), 1000.0)]


def test_what_a_run_published_whose_ownership_failed_the_next_run_makes(files_only):
    files_only.load("first", quarters=["2025Q2"])
    files_only.run("institutional_holdings", "failed", quarters=["2025Q1"])
    made_for = "SELECT min(session) FROM closingbell.institutional_ownership WHERE quarter = '2025-03-31'"
    assert files_only.rows(made_for).item() > date(2025, 6, 1)  # late filings that June's data set has
    files_only.run("institutional_ownership", "next")
    assert files_only.rows(made_for).item() < date(2025, 5, 1)


def test_holdings_of_a_run_that_ended_between_two_tables_are_loaded_by_the_next_one(files_only):
    with killed_before_publishing("institutional_filings"):
        files_only.load("killed", quarters=["2025Q2"])
    with killed_before_publishing("institutional_holdings"):
        files_only.load("killed again", quarters=["2025Q2"])
    files_only.load("next", quarters=["2025Q2"])
    said = "SELECT sum(rows)::bigint FROM closingbell.institutional_filings"
    held = "SELECT count(*) FROM closingbell.institutional_holdings"
    assert files_only.rows(said).item() == files_only.rows(held).item() > 0


def test_a_run_before_the_universe_says_what_to_run(market, new_database, migrated_template, tmp_path):
    for deployment in deployed(market, new_database(migrated_template), tmp_path):
        with pytest.raises(ValueError, match="no security is known; run universe first"):
            deployment.load("first", quarters=["2025Q2"])


def test_what_is_learned_after_the_holdings_reaches_lines_and_ownership(files_only):
    """A CUSIP's security, a company's shares outstanding, and a split: the next run makes what a full one would."""
    quarter = {"quarters": ["2025Q2"]}
    files_only.run("cusips", "first", **quarter)
    held = files_only.rows("SELECT cusip, security_id FROM closingbell.cusip_history WHERE security_id IS NOT NULL")
    late, company = held["security_id"].unique().sort().head(2)
    with files_only.engine.begin() as connection:  # as before its first fail
        forget = text("UPDATE closingbell.cusip_history SET security_id = NULL WHERE security_id = :id")
        connection.execute(forget, {"id": late})
    files_only.run("institutional_holdings", "first", **quarter)
    files_only.run("institutional_ownership", "first")

    def owned(security_id: int) -> list[Any]:
        found = files_only.rows(
            "SELECT share_owned FROM closingbell.institutional_ownership "
            "WHERE security_id = :id AND quarter = '2025-06-30' ORDER BY session", id=security_id,
        )  # fmt: skip
        return found["share_owned"].to_list() if found.height else []

    assert owned(late) == []
    assert set(owned(company)) == {None}
    with files_only.engine.begin() as connection:  # as if the runs were not within minutes
        age = "UPDATE ops.stages SET expected = jsonb_set(expected, '{upto}', to_jsonb(clock_timestamp()))"
        connection.execute(text(age + " WHERE table_name = 'institutional_ownership'"))
    ticker = files_only.rows("SELECT ticker FROM closingbell.ticker_history WHERE security_id = :id", id=company)
    files_only.run("sec_financials", "first", tickers=ticker["ticker"].to_list())
    counts = files_only.load("next", **quarter)
    assert counts["institutional_holdings"]["updated"] > 5
    assert (counts["institutional_holdings"]["inserted"], counts["institutional_filings"]["in"]) == (0, 0)
    assert owned(late)
    before = owned(company)
    assert before[-1] > 0
    with files_only.engine.begin() as connection:
        connection.execute(text(age + " WHERE table_name = 'institutional_ownership'"))
        connection.execute(text("INSERT INTO ops.published_landings VALUES ('corporate_actions', -1)"))
        split = text(
            "INSERT INTO closingbell.corporate_actions (security_id, ex_date, kind, numerator, denominator, known_at, "
            "source, landing_id, fetched_at) VALUES (:id, '2025-07-08', 'split', 2, 1, now(), 'polygon', -1, now())"
        )
        connection.execute(split, {"id": company})
    files_only.run("institutional_ownership", "split")
    assert owned(company)[-1] == pytest.approx(2 * before[-1])  # the company counted after it, institutions before
    made = {table: files_only.contents(table) for table in TABLES}
    files_only.load("full", full=True, **quarter)
    assert {table: files_only.contents(table) for table in TABLES} == made


def test_a_narrow_run_does_not_end_the_first_fill(files_only, market, tmp_path):
    report = market.institutions.filed_between(date(2025, 6, 1), date(2025, 8, 31))[0]
    path = tmp_path / f"{report.accession_no}.txt"
    path.write_text(market.form13f_filing(report.accession_no, market.default_clock))
    files_only.load("file", from_files=[str(path)])
    files_only.run("institutional_holdings", "quarter", quarters=["2025Q1"])

    def planned(name: str) -> list[Any]:
        run = Run(dag_id=name, run_id="next", partition_key="2025-12-05", engine=files_only.engine,
                  landing=files_only.landing)  # fmt: skip
        return base.plan(LOADS[name], run)

    assert [batch["set"] for batch in planned("institutional_holdings") if "set" in batch] == [
        "01dec2024-28feb2025", "01jun2025-31aug2025",
    ]  # fmt: skip
    (batch,) = planned("cusips")
    assert batch["key"] == "since 2024-11-16"  # 45 days before the first of the four


def test_faults_change_no_row(market, new_database, listed, tmp_path_factory, monkeypatch):
    # mid September: the data set of June's reports is out, and late filings stand alone
    monkeypatch.setattr(cusips, "FIRST_QUARTERS", 1)
    clock = new_york(date(2025, 9, 16), 18).astimezone(UTC)
    contents = []
    for faults in ("", FAULTS):
        for deployment in deployed(market, new_database(listed), tmp_path_factory.mktemp("faults"), faults, clock):
            for run_id, params in (("set", {"quarters": ["2025Q2"]}), ("single", {})):
                for attempt in range(6):
                    with contextlib.suppress(VendorError):
                        deployment.load(f"{run_id} {attempt}", **params)
                        break
            deployment.load("last")  # what failed is asked again
            contents.append({table: deployment.contents(table) for table in TABLES})
    found = {table: len(rows) for table, rows in contents[0].items()}
    expected = market.institutions.filed_between(date(2025, 6, 1), date(2025, 9, 15))
    assert found["institutional_filings"] == len(expected)
    assert found["institutional_holdings"] == sum(len(report.lines) for report in expected)
    assert contents[0] == contents[1]


def test_shares_of_a_class_are_known_apart_from_its_companys(database: Engine):
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.securities (security_id, cik, name, type, fetched_at) VALUES "
                "(1, 11, 'A', 'CS', now()), (2, 11, 'B', 'CS', now()), (3, 33, 'ALONE', 'CS', now())"
            )
        )
        connection.execute(
            text(
                "INSERT INTO closingbell.class_shares (security_id, valid_from, shares, landing_id, fetched_at) VALUES "
                "(1, '2025-11-03', 600, -1, now()), (1, '2025-11-10', 610, -2, now()), (3, '2025-11-03', 5, -1, now())"
            )
        )
        connection.execute(text("INSERT INTO ops.published_landings VALUES ('class_shares', -2)"))
        connection.execute(
            text(
                "INSERT INTO closingbell.institutional_ownership (security_id, session, quarter, known_at, holders, "
                "shares, market_value, put_shares, call_shares, filers, fetched_at) "
                "SELECT id, '2025-10-20', '2025-09-30', now(), 1, 1, 1, 0, 0, 1, now() FROM generate_series(1, 3) AS id"
            )
        )
    at_close = {"until": close_of(date(2025, 11, 7)), "from_day": date(2024, 1, 1), "first": 1, "last": 3}
    rows = db.query(database, "ownership_shares", **at_close)
    # what the tenth told is not known, and a company of one class is what it files
    assert rows.select("security_id", "period_end", "shares_outstanding", "counted_on", "of_class").rows() == [
        (1, date(2025, 11, 3), 600.0, date(2025, 11, 3), True)
    ]
    # ownership is made anew from the day on that a newly published count is of
    touched = db.query(database, "form13f_touched", days=550)
    assert touched.rows() == [(date(2025, 9, 30), datetime(2025, 11, 10, 5, tzinfo=UTC))]


# files, and hostile ones


@pytest.fixture
def files_only(market, new_database, listed, tmp_path) -> Iterator[Deployment]:
    yield from deployed(market, new_database(listed), tmp_path / "landing")


def as_edgars_folder(folder: Path, report: made.Report, submission: bytes) -> None:
    """A filing as its folder on EDGAR has it: cover page and information table apart, and the header's fields."""
    folder.mkdir()
    for document in edgar.submission_documents(submission):
        name = "primary_doc.xml" if b"edgarSubmission" in document[:4096] else "infotable.xml"
        (folder / name).write_bytes(document)
    accepted = report.accepted.astimezone(NEW_YORK)
    fields = {"ACCESSION-NUMBER": report.accession_no, "FILING-DATE": report.filed_on.isoformat()}
    fields["ACCEPTANCE-DATETIME"] = f"{accepted:%Y%m%d%H%M%S}"
    (folder / f"{report.accession_no}.metadata.json").write_text(json.dumps({"submission": fields}))


def test_a_data_set_takes_the_place_of_single_filings_and_their_acceptance_stays(files_only, market, tmp_path):
    now, folder = market.default_clock, tmp_path / "files"
    (folder / "single").mkdir(parents=True)
    reports = market.institutions.filed_between(date(2025, 6, 1), date(2025, 8, 31))
    for number, report in enumerate(reports):
        body = market.form13f_filing(report.accession_no, now)
        if number % 2:
            as_edgars_folder(folder / report.accession_no.replace("-", ""), report, body.encode())
        else:
            (folder / "single" / f"{report.accession_no}.txt").write_text(body)
    for name in ("cnsfails202506b", "cnsfails202507a"):
        (folder / f"{name}.zip").write_bytes(market.fails_to_deliver(name, now))
    files_only.load("single", from_files=[str(folder)])
    single = files_only.contents("institutional_holdings")
    assert len(single) == sum(len(report.lines) for report in reports)
    name = "01jun2025-31aug2025_form13f.zip"
    (folder / name).write_bytes(market.form13f_set("01jun2025-31aug2025", now))
    counts = files_only.load("set", from_files=[str(folder / name)])
    assert (counts["institutional_holdings"]["in"], counts["institutional_holdings"]["inserted"]) == (len(single), 0)
    assert files_only.contents("institutional_holdings") == single
    found = dict(files_only.rows("SELECT accession_no, known_at FROM closingbell.institutional_filings").iter_rows())
    assert found == {report.accession_no: report.accepted for report in reports}


def test_odd_lines_of_a_single_filing_are_quarantined_and_the_others_are_published(files_only, market, tmp_path):
    reports = market.institutions.filed_between(date(2025, 6, 1), date(2025, 8, 31))
    report = next(r for r in reports if 3 < len(r.lines) < 20)
    body = market.form13f_filing(report.accession_no, market.default_clock)
    odd, shares, value, rest = report.lines[0], report.lines[1], report.lines[2], len(report.lines) - 3
    for written, read in (
        (f"cusip>{odd.cusip}<", "cusip>12345<"),
        (f"sshPrnamt>{shares.shares}<", "sshPrnamt>see note<"),
        (f"value>{report.value(value)}<", "value>1.2.3<"),
    ):
        assert written in body
        body = body.replace(written, read, 1)
    (tmp_path / f"{report.accession_no}.txt").write_text(body)
    counts = files_only.run("institutional_holdings", "odd", from_files=[str(tmp_path / f"{report.accession_no}.txt")])
    holdings = counts["institutional_holdings"]
    assert (holdings["inserted"], holdings["quarantined"]) == (rest, 3)
    rules = files_only.rows("SELECT rule, content ->> 'cusip' AS cusip FROM ops.quarantine ORDER BY rule")
    assert rules.rows() == [
        ("cusip_has_nine_signs", "12345"), ("shares_or_principal", shares.cusip), ("value_is_a_number", value.cusip)
    ]  # fmt: skip


def with_bomb(members: dict[str, bytes], name: bytes) -> bytes:
    """A zip of these members and one of 10 GiB: a table's line, over and over, in 40 MB of deflate."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    line = b"0001234567-24-000001\t1\tISSUER\tCOM\t037833100\t\t100\t10\tSH\t\tSOLE\t\t10\t0\t0\n"
    block = deflate.compress(line * (2**26 // len(line))) + deflate.flush(zlib.Z_FULL_FLUSH)
    head = "\t".join(made.INFO_COLUMNS).encode() + b"\n"
    first = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = first.compress(head) + first.flush(zlib.Z_FULL_FLUSH) + block * 160 + deflate.flush()
    parts, entries, offset = [], [], 0
    listed = [(key.encode(), 0, body, len(body)) for key, body in members.items()]
    for member, method, body, size in [*listed, (name, 8, packed, 2**32 - 2)]:
        sizes = struct.pack("<3L2H", zlib.crc32(body) if method == 0 else 0, len(body), size, len(member), 0)
        local = struct.pack("<4s5H", b"PK\x03\x04", 20, 0, method, 0, 0) + sizes + member
        entries.append(
            struct.pack("<4s6H", b"PK\x01\x02", 20, 20, 0, method, 0, 0)
            + sizes
            + struct.pack("<3H2L", 0, 0, 0, 0, offset)
            + member
        )
        parts += [local, body]
        offset += len(local) + len(body)
    directory = b"".join(entries)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), offset, 0)
    return b"".join([*parts, directory, end])


def test_a_member_of_10_gb_ends_the_load_by_name_in_bounded_memory(files_only, market, tmp_path):
    name = "01jun2025-31aug2025"
    with zipfile.ZipFile(io.BytesIO(market.form13f_set(name, market.default_clock))) as whole:
        members = {info.filename: whole.read(info) for info in whole.infolist() if info.filename != "INFOTABLE.tsv"}
    path = tmp_path / f"{name}_form13f.zip"
    path.write_bytes(with_bomb(members, b"INFOTABLE.tsv"))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveRefused, match=r"INFOTABLE.tsv grows from .* to over .* bytes; refused"):
            files_only.load("bomb", from_files=[str(path)])
        assert tracemalloc.get_traced_memory()[1] < 128 * 2**20
    finally:
        tracemalloc.stop()
    assert files_only.contents("institutional_holdings") == []


def test_a_zip_of_100_000_members_ends_the_load_by_name(files_only, tmp_path):
    path = tmp_path / "01jun2025-31aug2025_form13f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(100_000):
            archive.writestr(zipfile.ZipInfo(f"{number}.tsv"), b"")
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveRefused, match="directory has"):
            files_only.load("many", from_files=[str(path)])
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_an_index_that_cannot_be_read_stops_no_other_day_and_is_asked_for_by_the_next_run(database, landing):
    first, last = date(2025, 12, 1), date(2025, 12, 3)
    at = datetime(2025, 12, 4, 12, tzinfo=UTC)
    line = "{:<17} {:<20} {:<11} {:<11} edgar/data/1/000000000{}-25-000001.txt\n"
    bodies = {
        day: "Form Type\n-----\n" + line.format("13F-HR", "A MANAGER", 1, f"{day:%Y%m%d}", day.day)
        for day in (first, date(2025, 12, 2), last)
    }
    given = bodies | {last: "<?xml?><Error/>"}

    class Hook:
        def daily_index(self, day: date) -> Answer:
            return Answer(
                vendor="sec_edgar", endpoint="daily_index", key=day.isoformat(), request={"method": "GET"},
                body=given[day].encode(), content_type=None, answered_at=at, fetched_at=at,
            )  # fmt: skip

    def due(run_id: str) -> list[str]:
        run = Run(dag_id="d", run_id=run_id, partition_key="p", engine=database, landing=landing)
        batches = institutional_holdings._single_filings(run, Hook(), first, last)
        return [accession for batch in batches for accession, _ in batch["filings"]]

    accessions = [f"000000000{number}-25-000001" for number in (1, 2, 3)]
    assert due("unread") == accessions[:2]
    assert failures.pending(database, "sec_edgar", "daily_index") == [last.isoformat()]
    given = bodies
    assert due("read") == accessions
    assert failures.pending(database, "sec_edgar", "daily_index") == []
