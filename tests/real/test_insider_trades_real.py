"""The recorded ownership documents through the real load: every one is published or quarantined with its reason."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text

from closingbell import connections
from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.settings import settings
from closingbell.warehouse import db

pytestmark = pytest.mark.real

DAY = date(2026, 8, 3)
ACCEPTED_LAST = (
    "0000104169-25-000205", "0001572985-25-000003", "0001607889-25-000020", "0001700537-25-000015",
    "0001700538-25-000015", "0001700545-25-000020", "0001702455-25-000007", "0002063236-25-000004",
)  # fmt: skip


@pytest.fixture(scope="module")
def loaded(recordings, new_database, migrated_template, tmp_path_factory):
    folder = recordings / "www.sec.gov/ownership"
    if not folder.is_dir():
        pytest.skip("not recorded here: www.sec.gov/ownership")
    url = new_database(migrated_template)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        settings.cache_clear()
        engine = db.engine(url)
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO closingbell.securities (security_id, cik, name, type, fetched_at) VALUES"
                    " (1604821001, 1604821, 'Natera', 'CS', now()), (1318605001, 1318605, 'Tesla', 'CS', now())"
                )
            )
        landing = Landing(str(tmp_path_factory.mktemp("landing")), engine)

        def load(run_id: str) -> dict[str, dict[str, int]]:
            counts = {}
            for name in ("insider_trades", "insider_activity"):
                run = Run(
                    dag_id="insider_trades", run_id=run_id, partition_key=DAY.isoformat(), engine=engine,
                    landing=landing, params={"from_files": [str(folder)]},
                )  # fmt: skip
                counts |= {f"{name} {table}": row for table, row in base.run_load(LOADS[name], run).items()}
            return counts

        counts = load("files")
        yield engine, counts, load
    settings.cache_clear()


def column(engine, statement: str, **params):
    with engine.connect() as connection:
        return list(connection.execute(text(statement), params).scalars())


def test_every_recorded_document_is_published_or_quarantined_with_its_reason(loaded):
    engine, counts, _ = loaded
    landed = column(engine, "SELECT DISTINCT key FROM ops.landings WHERE endpoint = 'ownership'")
    assert len(landed) == 290
    with engine.connect() as connection:
        rules = dict(connection.execute(text("SELECT rule, count(*) FROM ops.quarantine GROUP BY rule")).all())
    assert rules == {"no accession": 10, "no filing date": 1}
    said = column(engine, "SELECT content ->> 'refused' FROM ops.quarantine WHERE rule = 'no accession'")
    assert all("lay the .txt, .nc or .metadata.json of the filing beside it" in text_ for text_ in said)
    assert counts["insider_trades insider_trades"]["inserted"] > 1000


def test_natera_buying_is_published_for_the_sessions_that_knew(loaded):
    # 0001062993-22-008150: 26402 + 85903 + 40695 shares bought on 2022-03-16, accepted 2022-03-18
    engine, _, _ = loaded
    statement = text(
        "SELECT session, net_shares_30d, net_shares_90d FROM closingbell.insider_activity"
        " WHERE security_id = 1604821001 AND session BETWEEN '2022-03-16' AND '2022-04-18' ORDER BY session"
    )
    with engine.connect() as connection:
        rows = {row.session: (row.net_shares_30d, row.net_shares_90d) for row in connection.execute(statement)}
    assert rows[date(2022, 3, 21)] == (153000, 153000)
    assert rows[date(2022, 4, 18)] == (0, 153000)
    known_at = column(engine, "SELECT min(known_at) FROM closingbell.insider_trades WHERE issuer_cik = 1604821")[0]
    assert all(datetime(day.year, day.month, day.day, 20, tzinfo=UTC) >= known_at for day in rows)


def test_the_recorded_feed_is_read_to_the_hour_asked_for_and_missing_documents_are_named(
    recordings, new_database, migrated_template, tmp_path
):
    # type4_count100_start0000.atom.xml.gz: the filings of 2025-12-12 accepted at 18:01 New York or later
    if not (recordings / "www.sec.gov/cgi-bin/browse-edgar").is_dir():
        pytest.skip("not recorded here: www.sec.gov/cgi-bin/browse-edgar")
    box = Sandbox(open_market("recorded", recordings=recordings), mode="recorded")
    box.clock = datetime(2025, 12, 13, 0, 1, tzinfo=UTC)
    url = new_database(migrated_template)
    with pytest.MonkeyPatch.context() as environment, running(box) as address:
        for name, value in connections.environment(address).items():
            environment.setenv(name, value)
        environment.setenv("CLOSINGBELL_DATABASE_URL", url)
        settings.cache_clear()
        engine = db.engine(url)
        run = Run(
            dag_id="insider_trades", run_id="feed", partition_key="2025-12-12", engine=engine,
            landing=Landing(str(tmp_path), engine), params={"hours": 1, "backfill": 1},
        )  # fmt: skip
        counts = base.run_load(LOADS["insider_trades"], run)
    settings.cache_clear()
    assert counts["insider_trades"]["in"] == 0
    listed = column(engine, "SELECT expected -> 'documents' FROM ops.stages")[0]
    assert listed == sorted(ACCEPTED_LAST)
    observed = column(engine, "SELECT observed FROM ops.audit_results WHERE expectation = 'documents_landed'")[0]
    assert [row["accession_no"] for row in observed["rows"]] == listed


def test_an_issuer_outside_the_universe_is_stored_without_a_security(loaded):
    engine, _, _ = loaded
    inside = column(engine, "SELECT DISTINCT issuer_cik FROM closingbell.insider_trades WHERE security_id IS NOT NULL")
    assert sorted(inside) == [1318605, 1604821]
    assert column(engine, "SELECT count(DISTINCT issuer_cik) FROM closingbell.insider_trades")[0] > 20


def test_the_same_files_again_change_nothing(loaded):
    _, _, load = loaded
    for table, counts in load("again").items():
        assert counts["inserted"] == counts["updated"] == counts["deleted"] == 0, (table, counts)
