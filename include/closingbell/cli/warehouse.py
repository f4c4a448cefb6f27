"""Commands of the warehouse: migrations, upkeep, checks, queries, the board, and an operator's corrections."""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import date
from typing import Annotated, Any, cast

import typer

from closingbell.cli.options import Session, UsageError, joined, session_of, split

app = typer.Typer()
override_app = typer.Typer(help="An operator's audited corrections; they survive replay.", no_args_is_help=True)


@app.command()
def housekeeping() -> None:
    """Drop abandoned stages and apply retention; what runs wait for stays, where their Airflow is known here."""
    stack_state = joined()
    from closingbell import stack
    from closingbell.landing import Landing
    from closingbell.orchestration.partitions import living
    from closingbell.settings import settings
    from closingbell.warehouse import db, retention

    engine, api = db.engine(), stack.airflow(stack_state)
    alive = living(engine, api.active if api else None)  # one that is known and does not answer is an error
    for name, count in retention.housekeep(engine, Landing(settings().landing, engine), living=alive).items():
        typer.echo(f"{name}: {count}")


@app.command()
def sql(query: Annotated[str, typer.Argument(help='One query: "SELECT * FROM closingbell.ic_scores LIMIT 5"')]) -> None:
    """Read the warehouse, as CSV; nothing can be changed."""
    joined()
    from psycopg2 import Error
    from psycopg2.sql import SQL

    from closingbell.warehouse import db

    copy = SQL("COPY ({query}\n) TO STDOUT (FORMAT csv, HEADER)").format(query=SQL(query.strip().removesuffix(";")))
    with db.engine().connect() as connection, db.cursor_of(connection) as cursor:
        try:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.copy_expert(copy, sys.stdout)
        except Error as error:
            raise UsageError(str(error).splitlines()[0]) from None


@app.command()
def migrate() -> None:
    """Make the warehouse's database where it is missing, and apply sql/migrations; reruns are harmless."""
    joined()
    from psycopg2 import Error
    from sqlalchemy.exc import SQLAlchemyError

    from closingbell.warehouse import db

    with contextlib.suppress(Error, SQLAlchemyError):  # a user who may make none has one made, or is told below
        db.create_database(db.warehouse_url())
    applied = db.migrate()
    typer.echo("\n".join(applied) if applied else "the warehouse is up to date")


@app.command()
def doctor() -> None:
    """Check what an operator would, each with what to do; exit code 1 where something fails."""
    from closingbell import doctor as checks
    from closingbell import stack

    try:
        findings = checks.examine(joined())
    except stack.StackError as error:
        findings = [checks.Finding("fail", "stack", str(error))]
    for finding in findings:
        typer.echo(finding.line())
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


@app.command()
def board(
    session: Session = None,
    tickers: Annotated[str, typer.Option(help="Only these tickers, separated by commas")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Rows to print")] = 100,
) -> None:
    """Print the scoreboard of a session."""
    import polars as pl

    day, chosen = session_of(session), split(tickers)
    of = f" of {', '.join(chosen)}" if chosen else ""
    print_board(day, pl.col("ticker").is_in(chosen) if chosen else None, limit=limit, of=of)


@app.command()
def changes(
    ticker: Annotated[str, typer.Argument(help="Whose score")],
    session: Session = None,
) -> None:
    """Why a score is another than the session before: each metric's points and new evidence."""
    day, (asked, *more) = session_of(session), split(ticker) or [""]
    if more or not asked:
        raise UsageError("give one ticker")
    from closingbell.pipelines import score_reads
    from closingbell.scores import changes as explained
    from closingbell.warehouse import db

    typer.echo(explained.text(score_reads.changed(db.engine(), asked, day)), nl=False)


@app.command()
def coverage(session: Session = None) -> None:
    """How much of a session's universe each table and factor has data of, how old, against the goals."""
    day = session_of(session)
    from closingbell.pipelines import score_reads
    from closingbell.scores import coverage as found
    from closingbell.warehouse import db

    typer.echo(found.text(score_reads.covered(db.engine(), day), day), nl=False)


def print_board(day: date, chosen: Any, *, limit: int, of: str = "") -> None:
    """The scoreboard of a session, of the rows that `chosen` (a polars expression, or None) keeps."""
    state = joined()
    from closingbell.pipelines import reconcile
    from closingbell.scores import board as scoreboard
    from closingbell.scores import changes as explained
    from closingbell.warehouse import db

    engine = db.engine()
    rows = db.query(engine, "scoreboard", session=day)
    if chosen is not None:
        rows = rows.filter(chosen)
    if rows.is_empty():
        raise UsageError(f"no score for {day}{of}; run `closingbell scores`")
    simulated = state is not None and state.spec.mode == "simulated"
    typer.echo(scoreboard.text(rows, day, limit=limit, simulated=simulated), nl=False)
    if reasons := reconcile.stale(engine, day, day).get(day):
        typer.echo(explained.stale(reasons))


@override_app.command("add")
def override_add(
    kind: Annotated[str, typer.Argument(help="exclude_security, map_ticker, map_cusip or reject_bar")],
    subject: Annotated[str, typer.Argument(help="""JSON, such as '{"security_id": 320193001}'""")],
    reason: Annotated[str, typer.Option(help="Why; it is kept for the auditor")],
    author: Annotated[str | None, typer.Option(help="Who; the login name by default")] = None,
) -> None:
    """Add a correction; it holds from the next publish on, and in every replay."""
    import getpass

    joined()
    from closingbell.warehouse import db, overrides

    try:
        what = json.loads(subject)
    except ValueError as error:
        raise UsageError(f"{subject} is no JSON: {error}") from None
    typer.echo(
        overrides.add(db.engine(), cast(overrides.Kind, kind), what, reason=reason, author=author or getpass.getuser())
    )


@override_app.command("end")
def override_end(
    override_id: Annotated[int, typer.Argument(help="As `override list` shows it")],
    author: Annotated[str | None, typer.Option(help="Who; the login name by default")] = None,
) -> None:
    """End a correction; it is kept for the record."""
    import getpass

    joined()
    from closingbell.warehouse import db, overrides

    overrides.end(db.engine(), override_id, author=author or getpass.getuser())


@override_app.command("list")
def override_list() -> None:
    """Corrections in force."""
    joined()
    from closingbell.warehouse import db, overrides

    for entry in overrides.active(db.engine()).iter_rows(named=True):
        typer.echo("  ".join(f"{name}={value}" for name, value in entry.items() if value is not None))
