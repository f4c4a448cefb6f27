"""The `closingbell` command: every step that a person or a pod can run, with the load path that Airflow's tasks take.

A step works on CLOSINGBELL_DATABASE_URL and AIRFLOW_CONN_<ID>, else on the stack that `make up` started last. Exit
code 0, or 1 with one line that says what was wrong and what to do (a traceback with --debug); 75 where it has to wait,
for a vendor's quota or for another run that writes the same partition.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import typer

app = typer.Typer(
    help=__doc__.partition("\n\n")[0],
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
override_app = typer.Typer(help="An operator's audited corrections; they survive replay.", no_args_is_help=True)
app.add_typer(override_app, name="override")

LOADS: dict[str, tuple[str, ...]] = {
    "universe": ("universe",),
    "sec-financials": ("sec_financials",),
    "prices": ("prices",),
    "indicators": ("indicators",),
    "valuations": ("valuation_ratios",),
    "scores": ("scores",),
    "reconcile": ("reconcile",),
    "insider-trades": ("insider_trades", "insider_activity"),
    "news": ("news", "news_articles", "news_sentiment", "sentiment_daily"),
    "news-score": ("news_sentiment",),
    "analyst-ratings": ("analyst_ratings", "analyst_consensus"),
    "institutional-holdings": ("cusips", "institutional_holdings", "institutional_ownership"),
}
"""What each ingestion command loads, by the names in `closingbell.pipelines.LOADS`, in order."""

EXIT_WAITS = 75  # EX_TEMPFAIL of sysexits.h; PipelinePodOperator defers on it

_debug = False

Tickers = Annotated[list[str] | None, typer.Option("--ticker", "-t", help="A ticker; repeat it, or separate by commas")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many companies or securities")]
All = Annotated[bool, typer.Option("--all", help="Every one of the universe")]
Session = Annotated[str | None, typer.Option(help="New York trading day, YYYY-MM-DD; the last one closed by default")]
Sessions = Annotated[str | None, typer.Option("--session", help="Trading day, or several separated by commas")]
First = Annotated[str | None, typer.Option(help="First session of a range")]
Last = Annotated[str | None, typer.Option(help="Last session of a range")]
FromFiles = Annotated[
    list[Path] | None,
    typer.Option("--from-files", help="Answers that are here already: files, folders, SEC's bulk zip", exists=True),
]
RunId = Annotated[str | None, typer.Option(help="Name of this run; the same name takes up where it stopped")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only plan: the vendors' lists are asked for, nothing is kept")]


class UsageError(ValueError):
    """The options do not fit together."""


def main() -> None:
    """Run the command; an error is one line on stderr and exit code 1."""
    try:
        sys.exit(app(_repeated(sys.argv[1:], "--from-files"), standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if hasattr(error, "format_message"):  # click's: a wrong option
            print(f"error: {error.format_message()} (see --help)", file=sys.stderr)
            sys.exit(2)
        if _debug:
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        sys.exit(EXIT_WAITS if type(error).__name__ in ("QuotaExhausted", "PartitionBusy") else 1)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what each step logs")] = False,
) -> None:
    """Set up logging for every command."""
    global _debug
    _debug = debug
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING
    from closingbell.settings import settings

    handler = logging.StreamHandler()
    if settings().json_logs:
        from pythonjsonlogger.json import JsonFormatter

        handler.setFormatter(JsonFormatter("{asctime}{levelname}{name}{message}", style="{"))
        level = min(level, logging.INFO)
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("closingbell").setLevel(level)


# -- the pipelines' steps --


@app.command()
def universe(
    ticker: Tickers = None,
    limit: Limit = None,
    source: Annotated[str | None, typer.Option(help="sec (the default), or stocks_table: our own PostgreSQL")] = None,
    full: Annotated[bool, typer.Option("--full", help="Ask for ticker events of every share, not of new ones")] = False,
    from_files: FromFiles = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
) -> None:
    """Companies, securities, tickers and index members."""
    if source not in (None, "sec", "stocks_table"):
        raise UsageError(f"--source {source} is unknown: use sec or stocks_table")
    chosen: dict[str, Any] = {"tickers": ticker, "limit": limit, "source": source, "full": full}
    _load("universe", run_id, **chosen, from_files=from_files, dry_run=dry_run)


@app.command("sec-financials")
def sec_financials(
    ticker: Tickers = None,
    limit: Limit = None,
    all_: All = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the last run that did not publish")] = False,
    years: Annotated[int | None, typer.Option(min=1, help="Only so many years of history; all by default")] = None,
    full: Annotated[bool, typer.Option("--full", help="Also companies that filed nothing since the last run")] = False,
    from_files: FromFiles = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
) -> None:
    """Filings, company facts and statements from SEC EDGAR."""
    asked: dict[str, Any] = {"tickers": ticker, "limit": limit, "all": all_, "years": years, "full": full}
    asked |= {"from_files": from_files, "dry_run": dry_run}
    if resume:
        if any(asked.values()):
            raise UsageError("--resume goes on with what the unfinished run was asked; give it alone, or with --run-id")
        run_id, asked = _unfinished("sec_financials", run_id)
    elif not from_files:
        _one_choice(ticker=ticker, limit=limit, all=all_)
    _load("sec-financials", run_id, **asked)


@app.command()
def prices(
    ticker: Tickers = None,
    limit: Limit = None,
    all_: All = False,
    session: Session = None,
    first: First = None,
    last: Last = None,
    from_files: FromFiles = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
) -> None:
    """Unadjusted daily bars and corporate actions, with the history that is missing."""
    if not from_files:
        _one_choice(ticker=ticker, limit=limit, all=all_)
    chosen = {"tickers": ticker, "limit": limit, "all": all_, "from_files": from_files, "dry_run": dry_run}
    _load("prices", run_id, **chosen, **_range(session, first, last))


@app.command()
def indicators(
    ticker: Tickers = None,
    limit: Limit = None,
    all_: All = False,
    session: Sessions = None,
    first: First = None,
    last: Last = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
) -> None:
    """Technical indicators from the stored bars."""
    _one_choice(ticker=ticker, limit=limit, all=all_)
    chosen = {"tickers": ticker, "limit": limit, "all": all_, "dry_run": dry_run}
    _load("indicators", run_id, **chosen, **_range(session, first, last))


@app.command()
def valuations(
    ticker: Tickers = None,
    limit: Limit = None,
    all_: All = False,
    session: Sessions = None,
    first: First = None,
    last: Last = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
) -> None:
    """Market value, P/E, P/B and P/S as known at the close."""
    _one_choice(ticker=ticker, limit=limit, all=all_)
    chosen = {"tickers": ticker, "limit": limit, "all": all_, "dry_run": dry_run}
    _load("valuations", run_id, **chosen, **_range(session, first, last))


@app.command()
def scores(
    ticker: Tickers = None,
    sector: Annotated[str | None, typer.Option(help="Securities of one GICS sector")] = None,
    sp500: Annotated[bool, typer.Option("--sp500", help="Members of the S&P 500 on the session")] = False,
    limit: Limit = None,
    all_: All = False,
    session: Session = None,
    first: First = None,
    last: Last = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
) -> None:
    """Scores of a session as known at its close; the board of it is printed. Peers are the whole universe always."""
    _one_choice(ticker=ticker, sector=sector, sp500=sp500, limit=limit, all=all_)
    chosen = {"tickers": ticker, "sector": sector, "sp500": sp500, "limit": limit, "all": all_, "dry_run": dry_run}
    window = _range(session, first, last)
    _load("scores", run_id, **chosen, **window)
    if not dry_run:
        board(session=window["session"], tickers=",".join(_split(ticker)), limit=50)


@app.command("insider-trades")
def insider_trades(
    hours: Annotated[int | None, typer.Option(min=1, help="So many hours of EDGAR's feed")] = None,
    backfill: Annotated[int | None, typer.Option(min=1, help="The daily indexes of so many days")] = None,
    ticker: Tickers = None,
    from_files: FromFiles = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
) -> None:
    """Insiders' trades (Forms 3, 4, 5), new ones by default, and net open-market buying as each close knew it."""
    if sum(map(bool, (hours, backfill, from_files))) > 1:
        raise UsageError("give one of --hours, --backfill, --from-files")
    chosen = {"hours": hours, "backfill": backfill, "tickers": ticker, "from_files": from_files, "dry_run": dry_run}
    _load("insider-trades", run_id, **chosen)


@app.command("institutional-holdings")
def institutional_holdings(
    quarter: Annotated[
        list[str] | None, typer.Option("--quarter", "-q", help="A quarter, 2024Q3; repeat it, or separate by commas")
    ] = None,
    backfill: Annotated[int | None, typer.Option(min=1, help="The last so many quarters")] = None,
    full: Annotated[bool, typer.Option("--full", help="Also data sets that are loaded already")] = False,
    from_files: FromFiles = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
) -> None:
    """13F filings of institutions, the CUSIPs' securities, and who owned what as each close knew it."""
    if quarter and backfill:
        raise UsageError("give --quarter or --backfill, not both")
    quarters = [part.strip() for text in quarter or () for part in text.split(",") if part.strip()]
    chosen = {"quarters": quarters, "backfill": backfill, "full": full, "from_files": from_files}
    _load("institutional-holdings", run_id, **chosen, dry_run=dry_run)


@app.command("analyst-ratings")
def analyst_ratings(
    ticker: Tickers = None,
    sp500: Annotated[bool, typer.Option("--sp500", help="Members of the S&P 500")] = False,
    limit: Limit = None,
    all_: All = False,
    months: Annotated[int | None, typer.Option(min=1, help="Ask for so many months again, not for changes")] = None,
    full: Annotated[bool, typer.Option("--full", help="Ask for twelve months again, not for changes")] = False,
    from_files: FromFiles = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
) -> None:
    """Analysts' ratings and targets from Benzinga, within its day's requests, and their consensus."""
    if not from_files:
        _one_choice(ticker=ticker, sp500=sp500, limit=limit, all=all_)
    chosen = {"tickers": ticker, "sp500": sp500, "limit": limit, "months": months, "full": full}
    _load("analyst-ratings", run_id, **chosen, from_files=from_files, dry_run=dry_run)


@app.command()
def news(
    hours: Annotated[int | None, typer.Option(min=1, help="Only the last so many hours")] = None,
    ticker: Tickers = None,
    backfill: Annotated[int | None, typer.Option(min=1, help="The last so many days again")] = None,
    model: Annotated[str, typer.Option(help="auto, finbert, gemini or lexicon")] = "auto",
    full: Annotated[bool, typer.Option("--full", help="The last 30 days again, and every article's scores")] = False,
    from_files: FromFiles = None,
    dry_run: DryRun = False,
    run_id: RunId = None,
) -> None:
    """News of every configured vendor and page since the last run, its articles, scores and each session's mood."""
    if hours and backfill:
        raise UsageError("give --hours or --backfill, not both")
    chosen = {"hours": hours, "tickers": ticker, "backfill": backfill, "model": model, "full": full}
    _load("news", run_id, **chosen, from_files=from_files, dry_run=dry_run)


@app.command("news-score", hidden=True)
def news_score(
    model: Annotated[str, typer.Option(help="auto, finbert, gemini or lexicon")] = "auto",
    backfill: Annotated[int, typer.Option(help="Score what was published in so many days; 0: in thirty")] = 0,
    full: Annotated[bool, typer.Option("--full/--new", help="Every article, not only those without a score")] = False,
    run_id: RunId = None,
) -> None:
    """Scores of the articles that wait for them: the pod step of the DAG news_sentiment."""
    _load("news-score", run_id, model=model, backfill=backfill, full=full)


@app.command()
def reconcile(session: Session = None, dry_run: DryRun = False, run_id: RunId = None) -> None:
    """Fetch a session's bars again, publish the vendor's corrections and mark the bars final."""
    _load("reconcile", run_id, **_range(session, None, None), dry_run=dry_run)


@app.command("stage-batch", hidden=True)
def stage_batch(load: Annotated[str, typer.Argument(help="Load, by its name in closingbell.pipelines")]) -> None:
    """Stage one landed batch of a run, both named by the environment: what PipelinePodOperator runs."""
    _joined()
    from closingbell.pipelines import LOADS as loads
    from closingbell.pipelines import base

    names = ("DAG_ID", "RUN_ID", "PARTITION_KEY", "PARAMS", "PART")
    given = {name: os.environ.get(f"CLOSINGBELL_{name}", "") for name in names}
    if missing := [f"CLOSINGBELL_{name}" for name, value in given.items() if not value]:
        raise UsageError(f"stage-batch is a step of an Airflow run, which sets {', '.join(missing)}")
    run = base.open_run(given["DAG_ID"], given["RUN_ID"], given["PARTITION_KEY"], json.loads(given["PARAMS"]))
    part = json.loads(given["PART"])
    for table, rows in base.stage(loads[load], run, part["batch"]).items():
        typer.echo(f"{table}: {rows} rows")


@app.command()
def replay(table: Annotated[str, typer.Argument(help="Table to rebuild from the landing zone")]) -> None:
    """Rebuild a table from the landing zone, without any vendor: after a parser was mended, for instance."""
    stack_state = _joined()
    from closingbell.orchestration.partitions import WHOLE, claimed_by_command
    from closingbell.pipelines import LOADS as loads
    from closingbell.pipelines import base

    load = next((load for load in loads.values() if table in load.tables), None)
    if load is None:
        known = sorted({name for load in loads.values() for name in load.tables})
        raise UsageError(f"no load fills a table {table!r}; use one of {', '.join(known)}")
    run = base.open_run(f"replay_{load.name}", _new_run_id(), datetime.now(UTC).date().isoformat(), {})
    with claimed_by_command(run, load.tables, _active(stack_state), keys=[WHOLE]):
        _print_counts(base.replay(load, run, progress=True))


@app.command()
def housekeeping() -> None:
    """Drop abandoned stages and apply retention; what runs wait for stays, where their Airflow is known here."""
    stack_state = _joined()
    from closingbell import stack
    from closingbell.landing import Landing
    from closingbell.orchestration.partitions import living
    from closingbell.settings import settings
    from closingbell.warehouse import db, retention

    engine, api = db.engine(), stack.airflow(stack_state)
    alive = living(engine, api.active if api else None)  # one that is known and does not answer is an error
    for name, count in retention.housekeep(engine, Landing(settings().landing, engine), living=alive).items():
        typer.echo(f"{name}: {count}")


# -- the stack --

ModeOption = Annotated[str, typer.Option(help="simulated, recorded or live")]
RecordingsOption = Annotated[str, typer.Option(help="Folder of recorded vendor answers, for --mode recorded")]
CompaniesOption = Annotated[int, typer.Option(help="Size of the simulated market, 20 to 6000")]
SeedOption = Annotated[int, typer.Option(help="Seed of the simulated market")]
PortOption = Annotated[int, typer.Option(help="Airflow's port on this machine")]
FaultsOption = Annotated[str, typer.Option(help="JSON of fault rates that the sandbox mixes in")]
TickersOption = Annotated[str, typer.Option(help="Only these tickers, separated by commas")]


@app.command()
def up(
    mode: ModeOption = "simulated",
    recordings: RecordingsOption = "",
    companies: CompaniesOption = 60,
    seed: SeedOption = 7,
    port: PortOption = 8080,
    faults: FaultsOption = "",
    session: Annotated[str, typer.Option(help="Only checked, for no run is started: see `demo`")] = "",
    tickers: TickersOption = "",
) -> None:
    """Start PostgreSQL, the vendors' sandbox and Airflow on this machine."""
    from closingbell import demo, stack

    wanted = stack.spec(
        mode=mode,
        recordings=recordings,
        companies=companies,
        seed=seed,
        port=port,
        faults=faults,
        tickers=_split(tickers),
    )
    state = stack.up(wanted, _say)
    typer.echo(demo.places(state) + demo.for_runs(state, session=session, tickers=_split(tickers)), nl=False)


@app.command("demo")
def demo_(
    mode: ModeOption = "simulated",
    recordings: RecordingsOption = "",
    companies: CompaniesOption = 60,
    seed: SeedOption = 7,
    port: PortOption = 8080,
    faults: FaultsOption = "",
    session: Annotated[str, typer.Option(help="Session to score; the vendors' last one by default")] = "",
    tickers: TickersOption = "",
) -> None:
    """Start the stack, run the main job once in Airflow, print the scoreboard."""
    from closingbell import demo, stack

    wanted = stack.spec(
        mode=mode,
        recordings=recordings,
        companies=companies,
        seed=seed,
        port=port,
        faults=faults,
        tickers=_split(tickers),
    )
    state = stack.up(wanted, _say)
    typer.echo(demo.demo(state, session=session, tickers=_split(tickers), say=_say), nl=False)


@app.command()
def down() -> None:
    """End what `up` or `demo` started, and nothing else."""
    from closingbell import stack

    stack.down(_say)


@app.command("db-url")
def db_url() -> None:
    """Print the last stack's warehouse as a libpq URL: psql "$(closingbell db-url)"."""
    from closingbell import stack

    if (state := stack.last_state()) is None:
        raise stack.StackError("no stack was started here yet: run `make up`")
    try:
        typer.echo(stack.libpq_url(state))
    except RuntimeError as error:
        raise stack.StackError(f"the last stack ({state.spec.name}) is down: {error}") from None


@app.command()
def sql(query: Annotated[str, typer.Argument(help='One query: "SELECT * FROM closingbell.ic_scores LIMIT 5"')]) -> None:
    """Read the warehouse, as CSV; nothing can be changed."""
    _joined()
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
    _joined()
    from psycopg2 import Error
    from sqlalchemy.exc import SQLAlchemyError

    from closingbell.warehouse import db

    with contextlib.suppress(Error, SQLAlchemyError):  # a user who may make none has one made, or is told below
        db.create_database(db.warehouse_url())
    applied = db.migrate()
    typer.echo("\n".join(applied) if applied else "the warehouse is up to date")


@app.command(
    "airflow",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def airflow_(context: typer.Context) -> None:
    """Airflow's own command on the last stack: `closingbell airflow dags list`."""
    from closingbell import stack

    environment = os.environ | stack.airflow_environ()
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *context.args], environment)  # noqa: S606


@app.command("airflow-settings")
def airflow_settings() -> None:
    """Pools and connections of airflow_settings.yaml into Airflow's own database; what exists there is kept."""
    from airflow.utils.session import create_session

    from closingbell import stack

    with create_session() as session:
        new = stack.load_settings_into(session)
    typer.echo("\n".join(new) if new else "Airflow has every pool and connection")


@app.command()
def doctor() -> None:
    """Check what an operator would, each with what to do; exit code 1 where something fails."""
    from closingbell import doctor as checks
    from closingbell import stack

    try:
        findings = checks.examine(_joined())
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
    limit: Annotated[int, typer.Option(min=1, help="Rows to print")] = 50,
) -> None:
    """Print the scoreboard of a session."""
    import polars as pl

    state = _joined()
    from closingbell.scores import board as scoreboard
    from closingbell.warehouse import db

    day = _session(session)
    rows = db.query(db.engine(), "scoreboard", session=day)
    if chosen := _split(tickers):
        rows = rows.filter(pl.col("ticker").is_in(chosen))
    if rows.is_empty():
        raise UsageError(f"no score for {day}{' of ' + ', '.join(chosen) if chosen else ''}; run `closingbell scores`")
    simulated = state is not None and state.spec.mode == "simulated"
    typer.echo(scoreboard.text(rows, day, limit=limit, simulated=simulated), nl=False)


# -- overrides --


@override_app.command("add")
def override_add(
    kind: Annotated[str, typer.Argument(help="exclude_security, map_ticker, map_cusip or reject_bar")],
    subject: Annotated[str, typer.Argument(help="""JSON, such as '{"security_id": 320193001}'""")],
    reason: Annotated[str, typer.Option(help="Why; it is kept for the auditor")],
    author: Annotated[str | None, typer.Option(help="Who; the login name by default")] = None,
) -> None:
    """Add a correction; it holds from the next publish on, and in every replay."""
    import getpass

    _joined()
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

    _joined()
    from closingbell.warehouse import db, overrides

    overrides.end(db.engine(), override_id, author=author or getpass.getuser())


@override_app.command("list")
def override_list() -> None:
    """Corrections in force."""
    _joined()
    from closingbell.warehouse import db, overrides

    for entry in overrides.active(db.engine()).iter_rows(named=True):
        typer.echo("  ".join(f"{name}={value}" for name, value in entry.items() if value is not None))


# -- shared --


def _load(command: str, run_id: str | None, **params: Any) -> None:
    stack_state = _joined()
    from closingbell.orchestration.partitions import claimed_by_command
    from closingbell.pipelines import LOADS as loads
    from closingbell.pipelines import base

    chosen = {name: value for name, value in params.items() if value not in (None, False, [], "")}
    if "tickers" in chosen:
        chosen["tickers"] = _split(chosen["tickers"])
    if "from_files" in chosen:
        chosen["from_files"] = [str(Path(path).resolve()) for path in chosen["from_files"]]
    # a step that Airflow started is part of its run; a person's is a run of its own
    partition_key = (
        chosen.pop("partition_key", None) or os.environ.get("CLOSINGBELL_PARTITION_KEY") or chosen.get("session")
    )
    partition_key = partition_key or datetime.now(UTC).date().isoformat()
    in_airflow = bool(os.environ.get("CLOSINGBELL_RUN_ID"))  # whose task has claimed the partitions
    active = None if in_airflow else _active(stack_state)
    run_id = run_id or os.environ.get("CLOSINGBELL_RUN_ID") or _new_run_id()
    for name in LOADS[command]:
        load = loads[name]
        dag_id = os.environ.get("CLOSINGBELL_DAG_ID") or name
        run = base.open_run(dag_id, run_id, str(partition_key), chosen, by_command=not in_airflow)
        if chosen.get("dry_run"):
            batches = base.plan(load, run)
            typer.echo(f"{name}: {len(batches)} batches: {', '.join(batch['key'] for batch in batches[:20])}")
            continue
        with contextlib.nullcontext() if in_airflow else claimed_by_command(run, load.tables, active):
            _print_counts(base.run_load(load, run, progress=True))


def _active(stack_state: Any) -> Any:
    """Which runs Airflow says have not ended; None where none is known here, or it does not answer."""
    from closingbell import stack
    from closingbell.airflow_api import AirflowError

    if api := stack.airflow(stack_state):
        with contextlib.suppress(AirflowError):
            api.health()
            return api.active
    return None


def _print_counts(counts: dict[str, Any]) -> None:
    for table, row in counts.items():
        typer.echo(f"{table}: " + ", ".join(f"{value} {name}" for name, value in row.items()))


def _joined() -> Any:
    from closingbell import stack

    return stack.adopt()


def _new_run_id() -> str:
    return f"cli__{datetime.now(UTC):%Y%m%dT%H%M%S}"


def _unfinished(dag_id: str, run_id: str | None) -> tuple[str, dict[str, Any]]:
    """(run_id, what it was asked and its partition_key) of the last command run that did not publish, or of that."""
    _joined()
    from closingbell.warehouse import db

    rows = db.query(db.engine(), "unfinished_command_runs", dag_id=dag_id, run_id=run_id)
    if rows.is_empty():
        named = f"{run_id} is no run of {dag_id} that" if run_id else f"no run of {dag_id}"
        raise UsageError(f"{named} waits to be resumed: every one has published")
    found = rows.row(0, named=True)
    return found["run_id"], json.loads(found["asked"]) | {"partition_key": found["partition_key"]}


def _one_choice(**choices: Any) -> None:
    given = [name for name, value in choices.items() if value]
    if len(given) != 1:
        options = ", ".join(f"--{'ticker' if name == 'tickers' else name}" for name in choices)
        raise UsageError(f"give one of {options}" + (f", not {' and '.join(given)}" if given else ""))


def _range(session: str | None, first: str | None, last: str | None) -> dict[str, Any]:
    if session and (first or last):
        raise UsageError("give --session, or --first and --last, not both")
    if bool(first) != bool(last):
        raise UsageError("--first and --last go together")
    if first and last:
        start, end = _session(first), _session(last)
        if start > end:
            raise UsageError(f"--first {start} is after --last {end}")
        return {"session": end.isoformat(), "first": start.isoformat(), "last": end.isoformat()}
    if session and "," in session:
        days = sorted({_session(day.strip()).isoformat() for day in session.split(",")})
        return {"session": days[-1], "sessions": days}
    return {"session": _session(session).isoformat()}


def _session(given: str | None) -> date:
    """The session, checked; the last one that closed (and that the sandbox serves) by default."""
    _joined()
    from closingbell.sessions import close_of, latest_session
    from closingbell.settings import settings

    now = datetime.now(UTC)
    if not given:
        ends = settings().market_ends_on
        return min(latest_session(now), ends) if ends else latest_session(now)
    try:
        day = date.fromisoformat(given)
    except ValueError:
        raise UsageError(f"{given} is no date: write YYYY-MM-DD") from None
    if close_of(day) > now:
        raise UsageError(f"{day} has not closed yet")
    return day


def _split(tickers: list[str] | str | None) -> list[str]:
    from closingbell.universe.tickers import normal_ticker

    texts = [tickers] if isinstance(tickers, str) else tickers or []
    return [normal_ticker(part) for text in texts for part in text.split(",") if part.strip()]


def _say(text: str) -> None:
    typer.echo(f"  {text}", err=True)


def _repeated(arguments: list[str], option: str) -> list[str]:
    """The option before every value that follows it: click's options take a fixed number."""
    given: list[str] = []
    taking = False
    for argument in arguments:
        if taking and not argument.startswith("-"):
            given += [argument] if given[-1] == option else [option, argument]
        else:
            given.append(argument)
            taking = argument == option
    return given


def _one_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    # SQLAlchemy adds the statement and a link; the database's own words come first
    return text.split("\n[SQL:")[0].split("\n(Background")[0]
