"""The load path on a real PostgreSQL: what it publishes, keeps out, remembers and refuses."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from load_steps import SESSION, bars, closes, loaded, rows, staged, staging_tables
from psycopg2 import sql
from sqlalchemy import text

from closingbell.audits import runner
from closingbell.audits.rules import Expect, TableAudit
from closingbell.hooks.answer import Answer
from closingbell.warehouse import db, load, overrides, stage
from closingbell.warehouse.tables import Column, Shape, TableSpec


@pytest.fixture
def no_checkpoint(monkeypatch):
    """The audit without Great Expectations, for tests that are about rows (5 s of imports)."""
    monkeypatch.setattr(runner, "_checkpoint", lambda *_: [])


# -- what is published -------------------------------------------------------------------------------------------------


def test_an_identical_rerun_changes_no_row_by_the_ledger_and_touches_none(database):
    frame = bars([(security_id, 10.0 + security_id) for security_id in range(1, 501)])
    first = loaded(database, "r1", frame)
    assert (first.rows_in, first.rows_inserted, first.rows_changed) == (500, 500, 500)
    where = rows(database, "SELECT security_id, xmin::text, ctid::text FROM closingbell.stock_prices ORDER BY 1")

    again = loaded(database, "r2", frame.sample(fraction=1, shuffle=True, seed=1).head(250), frame.tail(0))
    again_whole = loaded(database, "r3", frame.sample(fraction=1, shuffle=True, seed=2))

    assert (again.rows_changed, again_whole.rows_changed, again_whole.rows_unchanged) == (0, 0, 500)
    assert again_whole.content_sha256 == first.content_sha256 != again.content_sha256
    assert where == rows(
        database, "SELECT security_id, xmin::text, ctid::text FROM closingbell.stock_prices ORDER BY 1"
    )
    assert rows(database, "SELECT count(*) FROM ops.revisions") == [(0,)]
    assert staging_tables(database) == []


def test_a_landing_that_gives_new_rows_later_is_published_then_and_an_identical_rerun_is_not(database, no_checkpoint):
    """What tells reconcile that bars came after a score, though their answer was landed before it."""
    when = "SELECT landing_id, published_at FROM ops.published_landings ORDER BY 1"
    loaded(database, "r1", bars([(1, 10.0)], landing_id=1), bars([(2, 20.0)], landing_id=2))
    first = dict(rows(database, when))
    loaded(database, "r2", bars([(1, 10.0)], landing_id=1), bars([(2, 20.0)], landing_id=2))
    assert dict(rows(database, when)) == first
    more = loaded(database, "r3", bars([(1, 10.0), (3, 30.0)], landing_id=1), bars([(2, 20.0)], landing_id=2))
    assert (more.rows_inserted, more.rows_unchanged) == (1, 2)
    now = dict(rows(database, when))
    assert now[1] > first[1]
    assert now[2] == first[2]


def test_a_later_landing_wins_and_the_old_row_is_kept_as_a_revision(database, no_checkpoint):
    loaded(database, "evening", bars([(1, 10.0), (2, 20.0)], landing_id=1))
    morning = loaded(database, "morning", bars([(1, 10.5), (2, 20.0)], landing_id=2))
    assert (morning.rows_updated, morning.rows_unchanged, morning.rows_inserted) == (1, 1, 0)
    assert closes(database) == {1: 10.5, 2: 20.0}
    ((key, old, reason),) = rows(database, "SELECT key, old_row, reason FROM ops.revisions")
    assert key == {"security_id": 1, "session": "2025-12-05"}
    assert (old["close"], old["landing_id"], reason) == (10.0, 1, "changed")


def test_an_older_landing_does_not_replace_a_later_one(database, no_checkpoint):
    loaded(database, "morning", bars([(1, 10.5)], landing_id=2))
    late = loaded(database, "late", bars([(1, 10.0), (3, 30.0)], landing_id=1))
    assert (late.rows_older, late.rows_updated, late.rows_inserted) == (1, 0, 1)
    assert closes(database) == {1: 10.5, 3: 30.0}


def test_an_answer_that_was_given_again_is_not_replaced_by_one_fetched_in_between(database, landing, no_checkpoint):
    """Equal rows are not touched, so the first landing stays in the row; the later one still counts as evidence."""
    ids = [
        landing.put(
            Answer(
                vendor="polygon", endpoint="grouped_daily", key="2025-12-05", request={}, body=body,
                content_type=None, answered_at=at, fetched_at=at,
            )
        )
        for body, at in (
            (content, datetime(2025, 12, 5, 23, minute, tzinfo=UTC))
            for content, minute in ((b"10", 1), (b"11", 2), (b"10 ", 3))
        )
    ]  # fmt: skip
    assert ids == [1, 2, 3]
    loaded(database, "r1", bars([(1, 10.0)], landing_id=1))
    loaded(database, "r3", bars([(1, 10.0)], landing_id=3))
    between = loaded(database, "r2", bars([(1, 11.0)], landing_id=2))
    assert (between.rows_older, closes(database)) == (1, {1: 10.0})


def test_the_same_landing_with_a_new_parser_wins(database, no_checkpoint):
    loaded(database, "r1", bars([(1, 10.0)], landing_id=5))
    fixed = loaded(database, "r2", bars([(1, 100.0)], landing_id=5))
    assert (fixed.rows_updated, closes(database)) == (1, {1: 100.0})


def test_a_replay_removes_what_its_answers_no_longer_give(database, no_checkpoint):
    loaded(database, "r1", bars([(1, 10.0), (2, 20.0)], landing_id=1), bars([(3, 30.0)], landing_id=2))
    stage_id = staged(database, "replay", {"b": bars([(1, 10.0)], landing_id=1)})
    load.audit(database, stage_id)
    replayed = load.publish(database, stage_id, remove_unstaged_of=[1])
    assert (replayed.rows_deleted, replayed.rows_unchanged, closes(database)) == (1, 1, {1: 10.0, 3: 30.0})
    assert rows(database, "SELECT reason, old_row -> 'close' FROM ops.revisions") == [("no longer given", 20)]


def test_an_instant_fact_is_one_row_however_often_it_is_loaded(database, no_checkpoint):
    """period_start is NULL for an instant, and NULL = NULL is not true: a plain join would insert it each time."""
    fact = pl.DataFrame(
        {
            "cik": [320193, 320193], "taxonomy": ["us-gaap"] * 2, "concept": ["Assets", "Revenues"],
            "unit": ["USD"] * 2, "period_start": [None, date(2024, 10, 1)], "period_end": [date(2024, 12, 28)] * 2,
            "accession_no": ["0000320193-25-000008"] * 2, "value": [344085e6, 124300e6], "form": ["10-Q"] * 2,
            "filed_on": [date(2025, 1, 31)] * 2, "known_at": [datetime(2025, 1, 31, 11, 1, 27, tzinfo=UTC)] * 2,
            "landing_id": [1, 1], "fetched_at": [datetime(2025, 2, 1, tzinfo=UTC)] * 2,
        }
    )  # fmt: skip
    assert loaded(database, "r1", fact, table="financial_facts").rows_inserted == 2
    assert loaded(database, "r2", fact, table="financial_facts").rows_unchanged == 2
    restated = fact.with_columns(value=pl.col("value") + 1, landing_id=pl.lit(2, pl.Int64))
    assert loaded(database, "r3", restated, table="financial_facts").rows_updated == 2
    assert rows(database, "SELECT count(*) FROM closingbell.financial_facts") == [(2,)]


def test_derived_rows_need_no_lineage_and_always_yield(database, no_checkpoint):
    def inputs(value: float) -> pl.DataFrame:
        text_ = json.dumps({"revenue_growth": [value, "Energy", 12, 71.5, {"accession_no": "0000320193-25-000008"}]})
        return pl.DataFrame({"security_id": [1], "session": [SESSION], "inputs": [text_]})

    assert loaded(database, "r1", inputs(0.1), table="score_inputs").rows_inserted == 1
    assert loaded(database, "r2", inputs(0.1), table="score_inputs").rows_unchanged == 1
    assert loaded(database, "r3", inputs(0.2), table="score_inputs").rows_updated == 1
    assert rows(database, "SELECT raw, n FROM closingbell.score_inputs_by_metric") == [(0.2, 12)]
    assert rows(
        database, "SELECT landing_id, fetched_at > now() - interval '1 hour' FROM closingbell.score_inputs"
    ) == [(None, True)]


def test_a_recompute_of_whole_sessions_withdraws_what_it_no_longer_gives(database, no_checkpoint):
    other = date(2025, 12, 4)

    def scored(run_id: str, session: date, *securities: int, whole: bool = True) -> load.Publication:
        frame = pl.DataFrame(
            [{"security_id": id_, "session": session, "inputs": "{}"} for id_ in securities],
            schema={"security_id": pl.Int64, "session": pl.Date, "inputs": pl.String},
        )
        expected = {"sessions": [session.isoformat()]} if whole else None
        stage_id = staged(database, run_id, {"b": frame}, table="score_inputs", expected=expected)
        load.audit(database, stage_id)
        return load.publish(database, stage_id)

    def held() -> list[tuple]:
        return rows(database, "SELECT session, security_id FROM closingbell.score_inputs ORDER BY 1, 2")

    scored("r0", other, 1, 2)
    scored("r1", SESSION, 1, 2, 3)
    assert scored("r2", SESSION, 1, 2, 3).rows_changed == 0
    assert scored("narrowed", SESSION, 1, whole=False).rows_changed == 0
    again = scored("r3", SESSION, 1, 3)
    assert (again.rows_deleted, again.rows_unchanged) == (1, 2)
    assert held() == [(other, 1), (other, 2), (SESSION, 1), (SESSION, 3)]
    ((key, reason),) = rows(database, "SELECT key, reason FROM ops.revisions")
    assert (key, reason) == ({"security_id": 2, "session": "2025-12-05"}, "no longer computed")
    assert scored("r4", SESSION, 1, 3).rows_changed == 0


def test_text_arrays_and_nulls_survive_the_copy(database, no_checkpoint):
    awkward = ['quote " and \\ and {brace}', "comma, line\nbreak\rreturn", "", "NULL"]
    frame = pl.DataFrame(
        {
            "cik": [1, 2], "valid_from": [SESSION] * 2, "name": ['A "quoted", name\r\nof two lines', "\\."],
            "sic": [None, 3571], "sic_description": ["", None], "sector": [None, "Energy"],
            "sector_source": [None, "sic"], "fiscal_year_end": [None, "0930"], "state": ["", None],
            "entity_type": [None, "NULL"], "landing_id": [1, 1], "fetched_at": [datetime(2025, 12, 6, tzinfo=UTC)] * 2,
        }
    )  # fmt: skip
    loaded(database, "r1", frame, table="companies")
    assert rows(
        database, "SELECT name, sic, sic_description, state, entity_type FROM closingbell.companies ORDER BY 1"
    ) == [
        ('A "quoted", name\r\nof two lines', None, "", "", None),
        ("\\.", 3571, None, None, "NULL"),
    ]
    statement = {
        "cik": 1, "period_end": SESSION, "period_type": "Q", "known_on": SESSION, "currency": "USD",
        "known_at": datetime(2025, 12, 5, 21, tzinfo=UTC), "accession_no": "0000320193-25-000008",
        "source_accession_nos": awkward, "landing_id": 1, "fetched_at": datetime(2025, 12, 6, tzinfo=UTC),
    }  # fmt: skip
    loaded(database, "r1", pl.DataFrame([statement]), table="financials")
    assert rows(database, "SELECT source_accession_nos FROM closingbell.financials") == [(awkward,)]


TYPES = {
    "bigint": (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    "integer": (pl.Int64, st.integers(-(2**31), 2**31 - 1)),
    "double precision": (pl.Float64, st.floats(allow_nan=False, allow_infinity=False)),
    "text": (pl.String, TEXT := st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
    "boolean": (pl.Boolean, st.booleans()),
    "date": (pl.Date, st.dates()),
    "timestamp with time zone": (pl.Datetime("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    "jsonb": (pl.String, st.dictionaries(TEXT, st.none() | TEXT | st.integers()).map(json.dumps)),
    "text[]": (pl.List(pl.String), st.lists(st.none() | TEXT)),
    "bigint[]": (pl.List(pl.Int64), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1))),
}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*(st.none() | values for _, values in TYPES.values())), min_size=1, max_size=5))
def test_what_is_copied_is_what_the_frame_holds_whatever_its_type(database, given_rows):
    columns = tuple(Column(f"c{number}", type_, False) for number, type_ in enumerate(TYPES))
    lineage = (Column("landing_id", "bigint", False), Column("fetched_at", "timestamp with time zone", False))
    table = Shape(TableSpec(name="any", key=()), (*columns, *lineage))
    schema = {column.name: TYPES[column.type][0] for column in columns}
    frame = pl.DataFrame(given_rows, schema=schema, orient="row").with_columns(landing_id=None, fetched_at=None)
    with database.connect() as connection, db.cursor_of(connection) as cursor:
        named = ", ".join(f"{column.name} {column.type}" for column in table.columns)
        cursor.execute(f"CREATE TEMPORARY TABLE sent ({named}, batch_id text)")
        for names, _, data in stage._written(stage._checked(frame, table, "b"), table, "b"):
            stage._copy(cursor, {"stage": sql.Identifier("sent")}, names, data)
        cursor.execute(f"SELECT {', '.join(schema)} FROM sent")
        found = cursor.fetchall()
    is_json = list(TYPES).index("jsonb")
    parsed = [[json.loads(v) if n == is_json and v else v for n, v in enumerate(row)] for row in given_rows]
    assert [list(row) for row in found] == parsed


def test_a_number_that_does_not_fit_its_column_is_refused_by_name(database):
    with pytest.raises(load.FrameRefused, match=r"companies, batch b0: .*i64.*i32"):
        staged(
            database,
            "r1",
            {"b0": bars([(1, 10.0)]).select("landing_id", "fetched_at", cik=1, sic=2**40)},
            table="companies",
        )


# -- what is kept out --------------------------------------------------------------------------------------------------


def test_repeated_keys_exact_ones_drop_conflicting_ones_of_one_landing_are_quarantined(database, no_checkpoint):
    stage_id = staged(
        database,
        "r1",
        {
            "a": bars([(1, 10.0), (1, 10.0), (2, 20.0), (2, 21.0), (3, 30.0)], landing_id=2),
            "b": bars([(2, 19.0), (3, 29.0), (1, 10.0)], landing_id=1),
        },
    )
    audit = load.audit(database, stage_id)
    assert audit.quarantined == {"conflicting_key": 2}
    published = load.publish(database, stage_id)
    # 2 conflicts within landing 2, so landing 1's row stands; 3 and 1 are landing 2's
    assert closes(database) == {1: 10.0, 2: 19.0, 3: 30.0}
    assert (published.rows_in, published.rows_duplicate, published.rows_quarantined) == (8, 3, 2)


def test_the_audit_looks_for_repeated_keys_wherever_no_unique_index_says_that_there_are_none(database):
    frame = bars([(1, 10.0), (2, 20.0)], landing_id=1)
    stage_id = staged(database, "r1", {"a": frame, "b": frame.tail(1)})
    rules = runner.audit_of("stock_prices")
    unique = next(expect for expect in runner.COMMON if expect.name == "key_unique")
    with database.connect() as connection:
        table = runner.shape(connection, "stock_prices")
    query = runner._query(unique, stage_id, table, rules).replace("{batch}", f"staging.stock_prices_{stage_id}")
    assert rows(database, query) == [(2, SESSION, 2)]
    assert load.audit(database, stage_id).rows_duplicate == 1

    stage_id = staged(database, "r2", {"a": frame})
    load.audit(database, stage_id)
    query = runner._query(unique, stage_id, table, rules).replace("{batch}", f"staging.stock_prices_{stage_id}")
    plan = [line for (line,) in rows(database, f"EXPLAIN (ANALYZE, COSTS off, TIMING off) {query}")]
    assert [line for line in plan if "Scan on stock_prices" in line and "never executed" not in line] == []


def test_what_is_staged_after_an_audit_may_repeat_its_keys(database, no_checkpoint):
    batches = {"a": bars([(1, 10.0), (2, 20.0)], landing_id=1)}
    load.audit(database, staged(database, "r1", batches))  # whose index forbids a second row
    stage_id = staged(database, "r1", {**batches, "b": bars([(2, 21.0), (3, 30.0)], landing_id=2)})
    assert load.audit(database, stage_id).rows_duplicate == 1
    assert load.publish(database, stage_id).rows_inserted == 3
    assert closes(database) == {1: 10.0, 2: 21.0, 3: 30.0}


def test_rows_that_break_a_rule_are_quarantined_whole_with_its_name(database, no_checkpoint):
    frame = pl.concat(
        [
            bars([(security_id, 5.0) for security_id in range(100, 200)]),
            bars([(1, -1.0)]),
            bars([(2, 5.0)]).with_columns(volume=pl.lit(None, pl.Float64)),
            bars([(3, 5.0)], session=date(2025, 12, 6)),
        ]
    )
    stage_id = staged(database, "r1", {"all": frame})
    assert load.audit(database, stage_id).quarantined == {
        "missing:volume": 1, "prices_positive": 1, "session_on_a_weekday": 1,
    }  # fmt: skip
    assert load.audit(database, stage_id).rows_quarantined == 3  # auditing again counts nothing twice
    assert load.publish(database, stage_id).rows_quarantined == 3
    ((content, landing_id, batch_id),) = rows(
        database, "SELECT content, landing_id, batch_id FROM ops.quarantine WHERE rule = 'prices_positive'"
    )
    assert (content["security_id"], content["close"], landing_id, batch_id) == (1, -1, 1, "all")


def test_an_override_rejects_a_bar_staged_or_published_and_ends(database, no_checkpoint):
    loaded(database, "r1", bars([(1, 10.0), (2, 20.0)]))
    override = overrides.add(
        database, "reject_bar", {"security_id": 1, "session": SESSION}, reason="bad print", author="ops@example.com"
    )
    again = loaded(database, "r2", bars([(1, 10.0), (2, 20.0)]))
    assert (again.rows_deleted, again.rows_quarantined, again.rows_unchanged) == (1, 1, 1)
    assert rows(database, "SELECT rule FROM ops.quarantine") == [("override:reject_bar",)]
    assert rows(database, "SELECT reason FROM ops.revisions") == [("override:reject_bar",)]
    assert loaded(database, "r3", bars([(1, 10.0), (2, 20.0)])).rows_changed == 0
    assert overrides.active(database)["security_id"].to_list() == [1]
    overrides.end(database, override, author="ops@example.com")
    assert loaded(database, "r4", bars([(1, 10.0), (2, 20.0)])).rows_inserted == 1


def test_an_override_added_between_audit_and_publish_still_acts(database, no_checkpoint):
    stage_id = staged(database, "r1", {"b": bars([(1, 10.0), (2, 20.0)])})
    load.audit(database, stage_id)
    overrides.add(database, "exclude_security", {"security_id": 2}, reason="fraud", author="ops@example.com")
    assert load.publish(database, stage_id).rows_quarantined == 1
    assert closes(database) == {1: 10.0}


def test_overrides_are_checked_when_they_are_made(database):
    with pytest.raises(ValueError, match=r"needs \['security_id', 'session'\]"):
        overrides.add(database, "reject_bar", {"security_id": 1}, reason="x", author="y")
    with pytest.raises(ValueError, match="is no date"):
        overrides.add(database, "reject_bar", {"security_id": 1, "session": "soon"}, reason="x", author="y")
    with pytest.raises(ValueError, match="a reason and an author"):
        overrides.add(database, "exclude_security", {"security_id": 1}, reason=" ", author="y")
    with pytest.raises(LookupError, match="override 9 is not active"):
        overrides.end(database, 9, author="y")


# -- what the checkpoint decides ---------------------------------------------------------------------------------------


def test_a_wholly_absent_session_fails_the_audit(database):
    expected = {"sessions": ["2025-12-04", "2025-12-05"], "securities": [1, 2], "min_share": 0.5}
    stage_id = staged(database, "r1", {"b": bars([(1, 10.0), (2, 20.0)])}, expected=expected)
    with pytest.raises(load.AuditFailed, match=r"sessions_complete found 1, first .*2025-12-04.*wait for the vendor"):
        load.audit(database, stage_id)
    with pytest.raises(load.StageError, match="is failed: run audit first"):
        load.publish(database, stage_id)
    assert closes(database) == {}


def test_a_session_without_a_list_of_securities_must_have_rows_all_the_same(database):
    stage_id = staged(database, "r1", {"b": bars([(1, 10.0)])}, expected={"sessions": ["2025-12-05", "2025-12-04"]})
    with pytest.raises(load.AuditFailed, match="2025-12-04"):
        load.audit(database, stage_id)


def test_a_warning_publishes_and_shows(database, caplog):
    expected = {"sessions": ["2025-12-05"], "securities": [1, 2, 3], "min_share": 0.5, "batches": ["b"], "min_rows": 2}
    stage_id = staged(database, "r1", {"b": bars([(1, 10.0), (2, 20.0)])}, expected=expected)
    audit = load.audit(database, stage_id)
    assert audit.passed
    assert audit.counts()["warnings"] == ["sessions_full"]
    assert "some expected securities have no row" in caplog.text
    assert load.publish(database, stage_id).rows_inserted == 2
    assert rows(database, "SELECT expectation FROM ops.audit_results WHERE NOT passed") == [("sessions_full",)]
    assert load.audit(database, stage_id).counts()["warnings"] == ["sessions_full"]  # of a published stage: as it was


def test_an_excluded_security_is_not_expected(database):
    overrides.add(database, "exclude_security", {"security_id": 2}, reason="fraud", author="ops@example.com")
    expected = {"sessions": ["2025-12-05"], "securities": [1, 2], "min_share": 1}
    stage_id = staged(database, "r1", {"b": bars([(1, 10.0), (2, 20.0)])}, expected=expected)
    assert load.audit(database, stage_id).counts()["warnings"] == []


def test_an_expectation_that_raises_stops_even_as_a_warning(database, monkeypatch):
    """Great Expectations counts a raised warning as a warning: 'could not look' would pass for 'looked fine'."""
    monkeypatch.setattr(
        runner,
        "audit_of",
        lambda table: TableAudit(expectations=(Expect(name="broken", query="x", severity="warning", todo="fix it"),)),
    )
    monkeypatch.setattr(
        runner, "_query", lambda expect, *_: f"SELECT {1 if expect.name == 'broken' else 0} / 0 FROM {{batch}} LIMIT 0"
    )
    monkeypatch.setattr(runner, "COMMON", ())
    stage_id = staged(database, "r1", {"b": bars([(1, 10.0)])})
    with pytest.raises(load.AuditFailed, match="broken could not be checked"):
        load.audit(database, stage_id)


def test_too_many_quarantined_rows_and_unstaged_batches_stop(database):
    stage_id = staged(
        database,
        "r1",
        {"b": bars([(1, 10.0), (2, -1.0)])},
        expected={"batches": ["b", "c"], "min_rows": 2},
    )
    with pytest.raises(load.AuditFailed) as failed:
        load.audit(database, stage_id)
    stopping = [result.expectation for result in failed.value.audit.results if result.stops]
    assert stopping == ["batches_staged", "quarantined_share", "rows_enough"]
    assert "prices_positive" in str(failed.value.audit.counts())


def test_companies_asked_for_and_absent_stop_or_warn(database):
    def staged_filings(run_id: str, ciks: list[int]) -> str:
        frame = pl.DataFrame(
            {
                "accession_no": ["0000320193-25-000008"], "cik": [320193], "form": ["10-Q"],
                "filed_on": [date(2025, 1, 31)], "known_at": [datetime(2025, 1, 31, 11, 1, 27, tzinfo=UTC)],
                "known_at_source": ["acceptance_utc"], "report_date": [date(2024, 12, 28)], "landing_id": [1],
                "fetched_at": [datetime(2025, 2, 1, tzinfo=UTC)],
            }
        )  # fmt: skip
        return staged(database, run_id, {"b": frame}, table="filings", expected={"ciks": ciks})

    assert load.audit(database, staged_filings("half", [320193, 1])).counts()["warnings"] == ["companies_full"]
    with pytest.raises(load.AuditFailed, match="companies_complete"):
        load.audit(database, staged_filings("third", [320193, 1, 2]))


def test_tickers_of_two_securities_at_once_are_shown(database):
    frame = pl.DataFrame(
        {
            "ticker": ["META", "META"], "valid_from": [date(2021, 6, 30), date(2022, 6, 9)], "valid_to": [None, None],
            "security_id": [1, 2], "landing_id": [1, 1], "fetched_at": [datetime(2025, 2, 1, tzinfo=UTC)] * 2,
        }
    )  # fmt: skip
    audit = load.audit(database, staged(database, "r1", {"b": frame}, table="ticker_history"))
    assert audit.counts()["warnings"] == ["tickers_do_not_overlap"]


def test_every_table_has_rules_and_its_predicates_run(database):
    from closingbell.warehouse.tables import TABLES

    for table in TABLES:
        stage_id = load.open_stage(database, dag_id="d", run_id="r", table=table, partition_key="p")
        assert load.audit(database, stage_id).passed, table
        assert load.publish(database, stage_id).rows_in == 0


# -- what is refused, and what a retry finds ---------------------------------------------------------------------------


def test_a_frame_that_does_not_fit_is_refused_by_name(database):
    stage_id = load.open_stage(database, dag_id="d", run_id="r", table="stock_prices", partition_key="p")

    def stage(frame: pl.DataFrame) -> None:
        load.stage_batch(database, stage_id, "b", frame, inputs_sha256="x")

    good = bars([(1, 10.0)])
    with pytest.raises(load.FrameRefused, match=r"stock_prices, batch b: .*lacks columns \['vwap'\].*\['vwapp'\]"):
        stage(good.rename({"vwap": "vwapp"}))
    with pytest.raises(load.FrameRefused, match=r"NaN or infinity in \['close'\]"):
        stage(good.with_columns(close=pl.lit(float("nan"))))
    with pytest.raises(load.FrameRefused, match="session is String, the table's is date"):
        stage(good.with_columns(pl.col("session").cast(pl.String)))
    with pytest.raises(load.FrameRefused, match="fetched_at is Datetime"):
        stage(good.with_columns(pl.col("fetched_at").dt.replace_time_zone(None)))
    assert rows(database, "SELECT count(*) FROM ops.stage_batches") == [(0,)]


def test_steps_out_of_order_say_which_step_is_missing(database):
    with pytest.raises(load.StageError, match="never opened; run the open task"):
        load.stage_batch(database, "feedfeedfeedfeed", "b", bars([]), inputs_sha256="x")
    stage_id = staged(database, "r1", {"b": bars([(1, 10.0)])})
    with pytest.raises(load.StageError, match="is open: run audit first"):
        load.publish(database, stage_id)
    with pytest.raises(LookupError, match="no table of the warehouse"):
        load.open_stage(database, dag_id="d", run_id="r", table="stock_price", partition_key="p")


def test_a_stage_that_an_upgrade_caught_says_so(database, no_checkpoint):
    stage_id = staged(database, "r1", {"a": bars([(1, 10.0)])})
    with database.begin() as connection:
        connection.execute(text(f"ALTER TABLE staging.stock_prices_{stage_id} DROP COLUMN refused CASCADE"))
    with pytest.raises(load.StageError, match=r"older version and lacks \['refused'\]; clear `open` with what follows"):
        load.audit(database, stage_id)
    with pytest.raises(load.StageError, match="older version"):
        load.stage_batch(database, stage_id, "b", bars([(2, 20.0)]), inputs_sha256="x")
    with database.begin() as connection:
        connection.execute(text("UPDATE ops.stages SET status = 'audited'"))
    with pytest.raises(load.StageError, match="older version"):
        load.publish(database, stage_id)


def test_a_batch_with_recorded_inputs_is_not_staged_again_and_a_changed_one_replaces_its_rows(database, no_checkpoint):
    stage_id = staged(database, "r1", {"a": bars([(1, 10.0)]), "b": bars([(2, 20.0)])})
    inputs = dict(rows(database, "SELECT batch_id, inputs_sha256 FROM ops.stage_batches"))
    assert load.batch_done(database, stage_id, "a", inputs["a"])
    assert not load.batch_done(database, stage_id, "a", "other inputs")
    # recorded inputs: the frame is not even looked at
    assert load.stage_batch(database, stage_id, "a", bars([(9, 9.0)]), inputs_sha256=inputs["a"]) == 1
    load.audit(database, stage_id)
    assert load.stage_batch(database, stage_id, "a", bars([(1, 11.0), (3, 3.0)]), inputs_sha256="new") == 2
    with pytest.raises(load.StageError, match="is open: run audit first"):
        load.publish(database, stage_id)  # what was staged after the audit is not audited
    load.audit(database, stage_id)
    load.publish(database, stage_id)
    assert closes(database) == {1: 11.0, 2: 20.0, 3: 3.0}


def test_a_retry_of_a_published_stage_returns_its_ledger_row(database, no_checkpoint):
    stage_id = staged(database, "r1", {"b": bars([(1, 10.0)])})
    load.audit(database, stage_id)
    first = load.publish(database, stage_id)
    assert load.publish(database, stage_id) == first
    with pytest.raises(load.StageError, match="is published"):
        load.stage_batch(database, stage_id, "b", bars([(1, 11.0)]), inputs_sha256="new")


def test_a_cleared_run_is_a_new_round_of_its_stage(database, no_checkpoint):
    """Clearing a run in Airflow, or a backfill that reprocesses, keeps the run_id: it must load again, not skip."""
    first = loaded(database, "r1", bars([(1, 10.0)]))
    second = loaded(database, "r1", bars([(1, 11.0)], landing_id=2))
    assert second.stage_id == first.stage_id
    assert second.ledger_id != first.ledger_id
    assert (second.rows_updated, closes(database)) == (1, {1: 11.0})


def test_two_runs_that_publish_one_table_at_once_do_not_deadlock(database, no_checkpoint):
    closes_ = [(security_id, 10.0) for security_id in range(1, 3001)]
    loaded(database, "r0", bars(closes_))
    stages = [
        staged(database, f"r{n}", {"b": bars([(i, close + n) for i, close in closes_[::step]], landing_id=1 + n)})
        for n, step in ((1, 1), (2, -1), (3, 1), (4, -1))
    ]
    for stage_id in stages:
        load.audit(database, stage_id)
    with ThreadPoolExecutor(4) as pool:
        published = list(pool.map(lambda stage_id: load.publish(database, stage_id), stages))
    assert set(closes(database).values()) == {14.0}  # the latest landing, whoever came first
    assert all(p.rows_updated + p.rows_older == 3000 for p in published)


def test_parallel_batches_of_one_stage_and_a_batch_twice_at_once(database, no_checkpoint):
    stage_id = load.open_stage(database, dag_id="market_close", run_id="r", table="stock_prices", partition_key="p")

    def stage(number: int) -> int:
        frame = bars([(10 * (number % 4) + i, 5.0) for i in range(10)])
        return load.stage_batch(database, stage_id, f"b{number % 4}", frame, inputs_sha256="x")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(stage, range(8))) == [10] * 8
    load.audit(database, stage_id)
    assert load.publish(database, stage_id).rows_inserted == 40


def test_an_old_fetched_at_may_come_with_a_higher_landing_id(database, no_checkpoint):
    """Files somebody already had are landed late with the time they were fetched: that time decides."""
    loaded(database, "vendor", bars([(1, 10.0)], landing_id=1))
    old = bars([(1, 9.0)], landing_id=2).with_columns(pl.col("fetched_at") - timedelta(minutes=20))
    assert loaded(database, "from files", old).rows_older == 1


def test_the_ledger_adds_up_or_refuses(database):
    with pytest.raises(Exception, match="load_ledger_check"), database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ops.load_ledger (stage_id, round, dataset, partition_key, content_sha256, parser_version, "
                "rows_in, rows_inserted, rows_updated, rows_unchanged, rows_quarantined, dag_id, run_id) "
                "VALUES ('s', 1, 'd', 'p', 'c', '1', 10, 3, 0, 6, 0, 'd', 'r')"
            )
        )
