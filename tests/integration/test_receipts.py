"""Who may trade as depositary receipts: what filings say of companies whose securities no vendor types."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import Engine, text

from closingbell.landing import Landing
from closingbell.pipelines import LOADS
from closingbell.pipelines.base import Run
from closingbell.warehouse import db

BP, CRH, SHOPIFY, TSMC, LPA, TYPED = 313807, 849395, 1594805, 1046179, 1997711, 6
FILED = (
    (BP, "20-F", "2023-03-10"), (BP, "6-K", "2023-05-02"), (BP, "F-3ASR", "2023-06-01"),
    # receipts until 2023, American yearly reports since
    (CRH, "F-6", "2009-04-01"), (CRH, "20-F", "2023-03-10"), (CRH, "10-K", "2024-02-29"),
    (SHOPIFY, "40-F", "2023-02-16"), (SHOPIFY, "6-K", "2023-05-04"),
    (TSMC, "10-K", "2023-02-01"), (TSMC, "F-6EF", "2023-09-01"),
    (LPA, "6-K", "2024-04-15"),
    (TYPED, "20-F", "2023-03-10"),
)  # fmt: skip
PUT_FILING = (
    "INSERT INTO closingbell.filings (accession_no, cik, form, filed_on, known_at, known_at_source, fetched_at) "
    "VALUES (:accession, :cik, :form, :day, CAST(:day AS timestamptz) + interval '20 hours', 'acceptance_utc', now())"
)
PUT_SECURITY = (
    "INSERT INTO closingbell.securities (security_id, cik, name, type, type_inferred, fetched_at) "
    "VALUES (:id, :cik, 'X', 'CS', :inferred, now())"
)


def test_receipts_are_possible_where_filings_known_by_the_close_are_foreign(database: Engine):
    with database.begin() as connection:
        for number, (cik, form, day) in enumerate(FILED):
            values = {"accession": f"{number:018}", "cik": cik, "form": form, "day": day}
            connection.execute(text(PUT_FILING), values)
        for cik in sorted({cik for cik, _, _ in FILED}):
            connection.execute(text(PUT_SECURITY), {"id": cik * 1000 + 1, "cik": cik, "inferred": cik != TYPED})

    def issuers(*as_of: int) -> set[int]:
        return set(db.query(database, "receipt_issuers", as_of=datetime(*as_of, 21, tzinfo=UTC))["cik"])  # type: ignore[misc]

    assert issuers(2023, 3, 9) == {CRH}
    assert issuers(2023, 6, 2) == {BP, CRH}
    assert issuers(2023, 9, 1) == {BP, CRH, TSMC}
    assert issuers(2024, 4, 16) == {BP, CRH, TSMC, LPA}


def test_13f_shares_of_possible_receipts_are_no_part_of_the_ordinary_ones(database: Engine):
    with database.begin() as connection:
        connection.execute(text(PUT_FILING), {"accession": "1", "cik": BP, "form": "20-F", "day": "2023-03-10"})
        for cik in (BP, SHOPIFY):
            connection.execute(text(PUT_SECURITY), {"id": cik * 1000 + 1, "cik": cik, "inferred": True})
            connection.execute(
                text(
                    "INSERT INTO closingbell.financials (cik, period_end, period_type, known_on, known_at, currency, "
                    "accession_no, source_accession_nos, shares_outstanding, fetched_at) VALUES (:cik, '2022-12-31', "
                    "'FY', '2023-03-10', '2023-03-10 20:00+00', 'USD', '1', '{}', 17e9, now())"
                ),
                {"cik": cik},
            )
    window = {"until": datetime(2023, 6, 1, tzinfo=UTC), "from_day": date(2022, 1, 1), "first": 1, "last": 10**13}
    assert db.query(database, "ownership_shares", **window)["security_id"].to_list() == [SHOPIFY * 1000 + 1]


def test_registrations_of_receipts_are_kept_among_the_filings(database: Engine, tmp_path: Path):
    forms = ["20-F", "F-6EF", "F-6 POS", "424B3", "SC 13G"]
    columns = {
        "accessionNumber": [f"0000313807-23-{n:06}" for n in range(len(forms))],
        "filingDate": ["2023-03-10"] * len(forms),
        "reportDate": [""] * len(forms),
        "acceptanceDateTime": ["2023-03-10T15:00:00.000Z"] * len(forms),
        "form": forms,
    }
    answer = {"cik": str(BP), "name": "BP PLC", "filings": {"recent": columns, "files": []}}
    (tmp_path / "CIK0000313807.json").write_text(json.dumps(answer))
    run = Run(
        dag_id="sec_financials", run_id="files", partition_key="2023-03-10", engine=database,
        landing=Landing(str(tmp_path / "landing"), database),
        params={"from_files": [str(tmp_path / "CIK0000313807.json")]},
    )  # fmt: skip
    load = LOADS["sec_financials"]
    [batch] = load.plan(run)
    filings = dict(load.frames(run, load.land(run, batch)))["filings"]
    assert sorted(filings["form"]) == ["20-F", "F-6 POS", "F-6EF"]
