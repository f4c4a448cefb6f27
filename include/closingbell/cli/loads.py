"""Commands that load: each takes the path of Airflow's tasks, as a run of its own or as a step of one of Airflow's."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from closingbell.cli.options import (
    All,
    DryRun,
    First,
    FromFiles,
    Last,
    Limit,
    RunId,
    Session,
    Sessions,
    Tickers,
    UsageError,
    joined,
    nothing_beside,
    one_of,
    sector_named,
    span,
    split,
)  # fmt: skip
from closingbell.cli.warehouse import print_board

app = typer.Typer()

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
    nothing_beside(from_files, source=source, full=full)
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
    if not resume:
        nothing_beside(from_files, ticker=ticker, limit=limit, all=all_, full=full)
        chosen = one_of(from_files, ticker=ticker, limit=limit, all=all_)
        _load("sec-financials", run_id, **chosen, years=years, full=full, dry_run=dry_run)
        return
    if any((ticker, limit, all_, years, full, from_files, dry_run)):
        raise UsageError("--resume goes on with what the unfinished run was asked; give it alone, or with --run-id")
    run_id, asked = _unfinished("sec_financials", run_id)
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
    nothing_beside(from_files, all=all_, session=session, first=first, last=last)
    chosen = one_of(from_files, ticker=ticker, limit=limit, all=all_)
    _load("prices", run_id, **chosen, **span(session, first, last), dry_run=dry_run)


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
    chosen = one_of(ticker=ticker, limit=limit, all=all_)
    _load("indicators", run_id, **chosen, **span(session, first, last), dry_run=dry_run)


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
    chosen = one_of(ticker=ticker, limit=limit, all=all_)
    _load("valuations", run_id, **chosen, **span(session, first, last), dry_run=dry_run)


@app.command()
def scores(
    ticker: Tickers = None,
    sector: Annotated[str | None, typer.Option(help="Of one GICS sector, however it is spelled")] = None,
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
    chosen = one_of(ticker=ticker, sector=sector_named(sector), sp500=sp500, limit=limit, all=all_)
    window = span(session, first, last)
    if sp500:
        _say_of_members(window)
    _load("scores", run_id, **chosen, **window, dry_run=dry_run)
    if not dry_run:
        _print_scores(chosen | window)


def _say_of_members(window: dict[str, Any]) -> None:
    joined()
    from closingbell.pipelines import base
    from closingbell.pipelines.scores import of_members

    if said := of_members(base.open_run("scores", "members", window["session"], window)):
        typer.echo(said, err=True)


def _print_scores(asked: dict[str, Any]) -> None:
    """The board of what the scores were asked for."""
    import polars as pl

    from closingbell.pipelines import base
    from closingbell.pipelines.scores import securities_asked_for

    asked = {**asked, "tickers": split(asked.get("tickers"))}
    securities = securities_asked_for(base.open_run("scores", "board", asked["session"], asked))
    chosen = None if securities is None else pl.col("security_id").is_in(securities)
    print_board(date.fromisoformat(asked["session"]), chosen, limit=100, of=" of what was asked for")


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
    if hours and backfill:
        raise UsageError("give --hours or --backfill, not both")
    nothing_beside(from_files, hours=hours, backfill=backfill, ticker=ticker)
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
    nothing_beside(from_files, quarter=quarter, backfill=backfill, full=full)
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
    """Analysts' ratings and targets from Benzinga, changes by default, within the day's requests; their consensus."""
    nothing_beside(from_files, ticker=ticker, sp500=sp500, limit=limit, all=all_, months=months, full=full)
    if any((ticker, sp500, limit, all_)):  # without one it is whom the schedule asks for
        one_of(ticker=ticker, sp500=sp500, limit=limit, all=all_)
    chosen = {"tickers": ticker, "sp500": sp500, "limit": limit, "all": all_, "from_files": from_files}
    _load("analyst-ratings", run_id, **chosen, months=months, full=full, dry_run=dry_run)


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
    nothing_beside(from_files, hours=hours, backfill=backfill, ticker=ticker)
    joined()  # whose connections tell which models there are
    from closingbell.pipelines.news_sentiment import chosen_model

    chosen_model(model)  # refused before anything is asked for
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
    _load("reconcile", run_id, **span(session), dry_run=dry_run)


@app.command("stage-batch", hidden=True)
def stage_batch(load: Annotated[str, typer.Argument(help="Load, by its name in closingbell.pipelines")]) -> None:
    """Stage one landed batch of a run, both named by the environment: what PipelinePodOperator runs."""
    joined()
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
    stack_state = joined()
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


def _load(command: str, run_id: str | None, **params: Any) -> None:
    stack_state = joined()
    from closingbell.orchestration.partitions import claimed_by_command
    from closingbell.pipelines import LOADS as loads
    from closingbell.pipelines import base

    chosen = {name: value for name, value in params.items() if value not in (None, False, [], "")}
    if "tickers" in chosen:
        chosen["tickers"] = split(chosen["tickers"])
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


def _new_run_id() -> str:
    return f"cli__{datetime.now(UTC):%Y%m%dT%H%M%S}"


def _unfinished(dag_id: str, run_id: str | None) -> tuple[str, dict[str, Any]]:
    """(run_id, what it was asked and its partition_key) of the last command run that did not publish, or of that."""
    joined()
    from closingbell.warehouse import db

    rows = db.query(db.engine(), "unfinished_command_runs", dag_id=dag_id, run_id=run_id)
    if rows.is_empty():
        named = f"{run_id} is no run of {dag_id} that" if run_id else f"no run of {dag_id}"
        raise UsageError(f"{named} waits to be resumed: every one has published")
    found = rows.row(0, named=True)
    return found["run_id"], json.loads(found["asked"]) | {"partition_key": found["partition_key"]}
