"""The audit of one stage: counts, repeated keys, row rules, then a Great Expectations checkpoint that decides.

In: an open stage. Out: flags in the staging table, ops.quarantine, ops.audit_results, and the stage's status audited or
failed. Running it again starts afresh; nothing of the staged rows is lost by it.
"""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg2 import sql
from psycopg2.errors import UniqueViolation
from sqlalchemy import Connection, Engine, text

from closingbell.audits.rules import COMMON, Expect, TableAudit
from closingbell.warehouse import db
from closingbell.warehouse.publish import apply_overrides, forget_lost, settle_quarantine
from closingbell.warehouse.stage import StageLost, refuse_abandoned, refuse_older, stage_row
from closingbell.warehouse.tables import LINEAGE, Shape, shape

log = logging.getLogger(__name__)
_SHOWN_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one expectation found: `observed` has the number of unexpected rows and some of them, or the error."""

    expectation: str
    severity: str
    passed: bool
    raised: bool
    observed: dict[str, Any]

    @property
    def stops(self) -> bool:
        """Whether it keeps the table from being published; one that raised says nothing, so it stops too."""
        return self.raised or (not self.passed and self.severity == "critical")


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The outcome of an audit: rows staged, taken by rules ({rule: rows}), dropped as duplicates, and the results."""

    stage_id: str
    table: str
    rows_in: int
    rows_duplicate: int
    quarantined: dict[str, int]
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        return not any(result.stops for result in self.results)

    @property
    def rows_quarantined(self) -> int:
        return sum(self.quarantined.values())

    @property
    def warnings(self) -> tuple[Result, ...]:
        """Expectations that failed without stopping: published, and shown."""
        return tuple(result for result in self.results if not result.passed and not result.stops)

    def counts(self) -> dict[str, Any]:
        """For logs and XCom."""
        return {
            "rows": self.rows_in,
            "duplicate": self.rows_duplicate,
            "quarantined": self.quarantined,
            "warnings": [result.expectation for result in self.warnings],
        }


class AuditFailed(RuntimeError):
    """The stage must not be published; `audit` has every result, the message what failed and what to do."""

    def __init__(self, message: str, audit: Audit | None = None):
        super().__init__(message, audit)
        self.message, self.audit = message, audit

    def __str__(self) -> str:
        return self.message


def audit(engine: Engine, stage_id: str) -> Audit:
    """Audit a stage; raises AuditFailed where it must not be published, StageLost where staged rows are gone.

    A published stage returns what its audit found. Takes the stage for itself, so no batch is staged meanwhile.
    """
    with engine.connect() as connection:
        connection.detach()  # the lock is held until it closes, across the transactions below
        connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:name, 0))"), {"name": f"stage {stage_id}"})
        row = stage_row(connection, stage_id)
        table = shape(connection, row.table_name)
        rules = audit_of(row.table_name)
        if row.status == "published":
            return _outcome(connection, stage_id, table)
        refuse_abandoned(row)
        refuse_older(connection, row, table)
        flaws = _flaws(connection, stage_id, table, rules)
        if flaws.lost:
            lost = forget_lost(connection, stage_id, table)
            connection.commit()
            raise StageLost(lost)
        connection.commit()
        repeated = not _index(engine, stage_id, table)
        with connection.begin():
            _flag(connection, stage_id, table, rules, flaws, repeated)
        results = _checkpoint(engine, stage_id, table, rules)
        connection.execute(text("DELETE FROM ops.audit_results WHERE stage_id = :id"), {"id": stage_id})
        for result in results:
            _record(connection, stage_id, result)
        outcome = _outcome(connection, stage_id, table)
        connection.execute(
            text("UPDATE ops.stages SET status = :status, audited_at = clock_timestamp() WHERE stage_id = :id"),
            {"id": stage_id, "status": "audited" if outcome.passed else "failed"},
        )
        connection.commit()
    for warning in outcome.warnings:
        log.warning("%s: %s", table.spec.name, _said(warning, rules))
    if not outcome.passed:
        failed = "; ".join(_said(result, rules) for result in outcome.results if result.stops)
        raise AuditFailed(f"{table.spec.name} {row.partition_key}: {failed}", outcome)
    log.info("%s %s: audit passed %s", table.spec.name, row.partition_key, outcome.counts())
    return outcome


def audit_of(table: str) -> TableAudit:
    """The rules of one table: audits/<table>.py."""
    return importlib.import_module(f"closingbell.audits.{table}").AUDIT


def row_rules(table: Shape, rules: TableAudit) -> dict[str, str]:
    """Every named predicate of a table: its required columns, then its own rules."""
    required = {
        f"missing:{column.name}": f'"{column.name}" IS NOT NULL'
        for column in table.columns
        if column.required and column.name not in LINEAGE
    }
    return {**required, **rules.row_rules}


def _index(engine: Engine, stage_id: str, table: Shape) -> bool:
    """Whether no key is there twice: then the stage has a unique index."""
    fragments = table.fragments(stage_id)
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        db.cursor_of(connection) as cursor,
    ):
        db.run(cursor, "stage_analyze", fragments)
        db.run(cursor, "stage_drop_index", fragments)
        try:
            db.run(cursor, "stage_index", fragments)
        except UniqueViolation:
            return False
    return True


class _Flaws(NamedTuple):
    """What a stage has: lost batches, flagged rows, rows that the parser refused anew or not any more, broken rules."""

    lost: bool
    flagged: bool
    stale: bool
    broken: bool


def _broken(table: Shape, rules: TableAudit) -> sql.Composable:
    return sql.SQL(" OR ").join(
        sql.SQL("({}) IS FALSE").format(sql.SQL(rule)) for rule in row_rules(table, rules).values()
    )


def _flaws(connection: Connection, stage_id: str, table: Shape, rules: TableAudit) -> _Flaws:
    with db.cursor_of(connection) as cursor:
        fragments = {**table.fragments(stage_id), "broken": _broken(table, rules)}
        db.run(cursor, "audit_flaws", fragments, stage_id=stage_id)
        return _Flaws(*cursor.fetchone())


def _flag(
    connection: Connection, stage_id: str, table: Shape, rules: TableAudit, flaws: _Flaws, repeated: bool
) -> None:
    named = row_rules(table, rules)
    cases = [
        sql.SQL("WHEN ({}) IS FALSE THEN {}").format(sql.SQL(predicate), sql.Literal(rule))
        for rule, predicate in named.items()
    ]
    fragments: dict[str, sql.Composable] = {
        **table.fragments(stage_id),
        "cases": sql.SQL(" ").join(cases),
        "broken": _broken(table, rules),
    }
    with db.cursor_of(connection) as cursor:
        if flaws.stale:
            db.run(cursor, "audit_flag_refused", fragments)
        if repeated:
            db.run(cursor, "audit_flag_repeated", fragments)
        overridden = apply_overrides(cursor, table, fragments)
        if flaws.broken:
            db.run(cursor, "audit_flag_rules", fragments)
        if repeated:
            db.run(cursor, "audit_flag_superseded", fragments)
        if flaws.flagged or flaws.stale or flaws.broken or repeated or overridden:
            settle_quarantine(cursor, stage_id, table, fragments)
        else:
            db.run(cursor, "audit_forget_quarantine", {}, stage_id=stage_id)


def _checkpoint(engine: Engine, stage_id: str, table: Shape, rules: TableAudit) -> list[Result]:
    from closingbell.audits.expectation import ExpectNoRows, counted  # first: it keeps Great Expectations quiet

    import great_expectations as gx  # isort: skip
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.metadata_types import FailureSeverity

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    wanted = (*COMMON, *rules.expectations)
    address = engine.url.render_as_string(hide_password=False)
    source = context.data_sources.add_postgres(
        "warehouse", connection_string=address.replace("$", r"\$"), create_temp_table=False
    )
    try:
        name = table.spec.name
        asset = source.add_table_asset(name, table_name=f"{name}_{stage_id}_kept", schema_name="staging")
        expectations = [
            ExpectNoRows(
                unexpected_rows_query=counted(_query(expect, stage_id, table, rules)),
                severity=FailureSeverity(expect.severity),
                description=expect.todo,
                meta={"name": expect.name},
            )
            for expect in wanted
        ]
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
        validation = context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=asset.add_batch_definition_whole_table("stage"), suite=suite)
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(name=name, validation_definitions=[validation], result_format="COMPLETE")
        )
        (outcome,) = checkpoint.run().run_results.values()
    finally:
        source.get_engine().dispose()
    found = {
        (result.expectation_config.meta or {})["name"]: result
        for result in outcome.results
        if result.expectation_config
    }
    return [_result(expect, found.get(expect.name)) for expect in wanted]


def _result(expect: Expect, found: Any) -> Result:
    error = "Great Expectations gave no result" if found is None else _raised(found.exception_info)
    if error:
        observed: dict[str, Any] = {"error": error}
    else:
        details = found.result.get("details", {})
        observed = {
            "unexpected": found.result.get("observed_value"),
            "rows": [dict(row) for row in details.get("unexpected_rows", [])[:_SHOWN_ROWS]],
        }
    return Result(
        expectation=expect.name,
        severity=expect.severity,
        passed=not error and bool(found.success),
        raised=bool(error),
        observed=observed,
    )


def _raised(info: Any) -> str:
    # one entry, or one a metric
    entries = [info] if "raised_exception" in (info or {}) else list((info or {}).values())
    for entry in entries:
        if isinstance(entry, Mapping) and entry.get("raised_exception"):
            return str(entry.get("exception_message") or "an exception without a message")
    return ""


def _query(expect: Expect, stage_id: str, table: Shape, rules: TableAudit) -> str:
    filled = db.sql(expect.query).replace("{stage_id}", stage_id).replace("{whole}", str(expect.whole))
    filled = filled.replace("{max_quarantined}", repr(rules.max_quarantined))
    filled = filled.replace("{few_quarantined}", str(rules.few_quarantined))
    filled = filled.replace("{stage}", f"staging.{table.spec.name}_{stage_id}")
    return filled.replace("{key}", ", ".join(f'"{name}"' for name in table.spec.key))


def _record(connection: Connection, stage_id: str, result: Result) -> None:
    observed = {**result.observed, **({"raised": True} if result.raised else {})}
    connection.execute(
        db.statement("audit_result_put"),
        {
            "stage_id": stage_id,
            "expectation": result.expectation,
            "severity": result.severity,
            "passed": result.passed,
            "observed": json.dumps(observed, default=str),
        },
    )


def _outcome(connection: Connection, stage_id: str, table: Shape) -> Audit:
    counts = connection.execute(db.statement("audit_counts"), {"stage_id": stage_id}).one()
    taken = connection.execute(db.statement("audit_quarantined_rules"), {"stage_id": stage_id})
    results = connection.execute(db.statement("audit_results_of"), {"stage_id": stage_id})
    return Audit(
        stage_id=stage_id,
        table=table.spec.name,
        rows_in=int(counts.rows_in),
        rows_duplicate=int(counts.rows_duplicate),
        quarantined={row.rule: row.rows for row in taken},
        results=tuple(
            Result(
                expectation=row.expectation,
                severity=row.severity,
                passed=row.passed,
                raised=bool(row.observed.get("raised")),
                observed=row.observed,
            )
            for row in results
        ),
    )


def _said(result: Result, rules: TableAudit) -> str:
    todo = next((e.todo for e in (*COMMON, *rules.expectations) if e.name == result.expectation), "")
    if result.raised:
        return f"{result.expectation} could not be checked: {result.observed.get('error')}"
    rows = result.observed.get("rows", [])
    shown = f", first {rows[:3]}" if rows else ""
    return f"{result.expectation} found {result.observed.get('unexpected')}{shown}: {todo}"
