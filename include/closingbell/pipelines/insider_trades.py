"""Forms 3, 4 and 5 as EDGAR's feed and daily index list them -> insider_trades.

What is new comes from the feed, and once EDGAR has closed from the day's index, which lists what a feed missed and the
forms 3 and 5. Each filing's submission is asked for once: its header has the acceptance time. Amendments are matched
by `insider_activity`, when all documents of a run are published.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from closingbell.edgar import Header
from closingbell.fundamentals.filings import OWNERSHIP_FORMS
from closingbell.hooks import open_hook
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import NotFound
from closingbell.hooks.sec_edgar import SecEdgar
from closingbell.insiders import compute, parse
from closingbell.landing import Landed
from closingbell.pipelines import base, daily_indexes, files
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.sessions import NEW_YORK
from closingbell.warehouse import db, failures

log = logging.getLogger(__name__)

TABLE = "insider_trades"
FIRST_DAYS = 90  # whose indexes every run reads where they are not read yet, so that a narrow first run ends nothing
DOCUMENTS_PER_BATCH = 500  # a minute of SEC's eight requests a second
PAGE = 100
LAST_PAGE = 100  # a safety stop; the feed holds some 3,000 entries
OVERLAP = timedelta(minutes=10)  # the feed is not quite in the order of acceptance
TRADES = parse.TRADES | {"security_id": pl.Int64} | compute.SUPERSEDED
FILE_ENDPOINTS = ("ownership", "submission_header")


def plan(run: Run) -> list[Batch]:
    """Batches of up to 500 filings: `filings` are cik/accession_no to ask for; `lists` the answers that list them."""
    if paths := run.params.get("from_files"):
        return _plan_files(run, paths)
    with closing(open_hook("sec_edgar", run.engine)) as hook:
        listed, lists = _listed(run, hook)
    if tickers := run.params.get("tickers"):
        found = db.query(run.engine, "ciks_of_tickers", tickers=tickers)
        if unknown := sorted(set(tickers) - set(found["ticker"])):
            raise ValueError(f"insider_trades: no company with ticker {unknown} is known; run universe first")
        wanted = pl.col("filer_ciks").list.set_intersection(found["cik"].unique().to_list())
        listed, lists = listed.filter(wanted.list.len() > 0), []
    waiting = {path.rpartition("/")[2]: path for path in db.query(run.engine, "ownership_waiting")["key"]}
    paths = {
        accession: f"{ciks[0]}/{accession}"
        for accession, ciks in listed.select("accession_no", "filer_ciks").iter_rows()
    } | waiting
    done = db.query(run.engine, "ownership_landed", keys=list(paths)).filter("published")["key"]
    for accession in set(waiting) & set(done):
        failures.resolve(run.engine, "sec_edgar", "ownership", waiting[accession])
    new = [paths[accession] for accession in sorted(set(paths) - set(done))]
    log.info("insider_trades: %d filings listed, %d of them new", listed.height, len(new))
    parts = base.chunks(new, DOCUMENTS_PER_BATCH) or ([[]] if lists else [])
    return [
        {"key": f"{number:03d} of {len(parts):03d}, {len(part)} filings", "filings": part, "lists": []}
        | ({"lists": lists} if number == len(parts) else {})
        for number, part in enumerate(parts, 1)
    ]


def land(run: Run, batch: Batch) -> Batch:
    """The submissions of the batch's filings; those that are here are not asked for again."""
    if "landing_ids" in batch:
        return batch
    paths = {path.rpartition("/")[2]: path for path in batch["filings"]}
    here = dict(db.query(run.engine, "ownership_landed", keys=list(paths)).select("key", "landing_id").iter_rows())
    absent = [path for accession, path in paths.items() if accession not in here]
    landed: dict[str, int] = {}
    if absent:
        with closing(open_hook("sec_edgar", run.engine)) as hook:

            def ask(path: str) -> Answer:
                try:
                    return hook.ownership(*path.split("/"))
                except NotFound as error:  # EDGAR lists it: not there yet, and listed no more when it is
                    failures.record(run.engine, "sec_edgar", "ownership", path, str(error), run.dag_id, run.run_id)
                    raise

            landed = base.land_each(run, "ownership", "sec_edgar", absent, ask)
    return batch | {"landing_ids": [*batch["lists"], *here.values(), *landed.values()]}


def frames(run: Run, landed: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows of the batch's documents, and for what was refused a row that names the reason."""
    answers: dict[str, Landed] = {}
    for answer in run.landing.read_each(landed["landing_ids"]):
        if answer.endpoint != "ownership":
            continue
        before = answers.get(answer.key)
        if before is None or (before.fetched_at, before.landing_id) < (answer.fetched_at, answer.landing_id):
            answers[answer.key] = answer
    parsed = parse.ownership(_document(answer) for answer in answers.values())
    lineage = pl.DataFrame(
        [(key, answer.landing_id, answer.fetched_at) for key, answer in answers.items()],
        schema={"accession_no": pl.String} | base.LINEAGE,
        orient="row",
    )
    trades = compute.with_securities(parsed.trades, db.query(run.engine, "issuer_listings"))
    marks = db.query(run.engine, "insider_marks", accessions=trades["accession_no"].unique().to_list())
    key = ["accession_no", "is_derivative", "row_no"]
    trades = trades.join(marks, on=key, how="left").join(lineage, on="accession_no", how="left")
    if (lost := trades.filter(pl.col("landing_id").is_null())["accession_no"].unique()).len():
        raise ValueError(f"insider_trades: documents of {lost.to_list()[:5]} came under other accession numbers")
    yield TABLE, pl.concat([trades, _refused(run, parsed.problems, answers)], how="diagonal")


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """The documents that EDGAR lists."""
    listed = [path.rpartition("/")[2] for batch in batches for path in batch.get("filings", ())]
    return {TABLE: {"documents": listed}} if listed else {}


def replay(run: Run) -> list[Batch]:
    """Every landed document, oldest first."""
    ids = db.query(run.engine, "ownership_history")["landing_id"].to_list()
    return [
        {"key": f"answers {part[0]}-{part[-1]}", "landing_ids": part} for part in base.chunks(ids, DOCUMENTS_PER_BATCH)
    ]


LOAD = Load(name=TABLE, tables=(TABLE,), plan=plan, land=land, frames=frames, replay=replay, expected=expected)


def _listed(run: Run, hook: SecEdgar) -> tuple[pl.DataFrame, list[int]]:
    """What the feed and the indexes that are due list (parse.FILINGS), and the answers that said so."""
    state = db.query(run.engine, "insider_lists_read").row(0, named=True)
    fed_until, indexed = state["fed_until"], [date.fromisoformat(day) for day in state["indexed"] or ()]
    first_page = run.landing.put(hook.getcurrent(0, count=PAGE))
    now = run.landing.read(first_page).answered_at
    today = now.astimezone(NEW_YORK).date()
    since = datetime.combine(today, time(0), NEW_YORK).astimezone(UTC)  # what is older is in the indexes
    if hours := run.params.get("hours"):
        since = now - timedelta(hours=int(hours))
    elif fed_until is not None:
        since = max(since, fed_until - OVERLAP)
    found, lists = _feed(run, hook, first_page, since)
    backfill = run.params.get("backfill")
    start = today - timedelta(days=int(backfill or FIRST_DAYS))
    if not backfill:
        start = min(start, max(indexed, default=today))
    days = (start + timedelta(days=ahead) for ahead in range((today - start).days + 1))
    due = [day for day in days if day.weekday() < 5 and (day not in indexed or backfill)]
    for _, answer, _ in daily_indexes.read(run, hook, dict.fromkeys(due), []):  # one that is unread stays due
        lists.append(answer.landing_id)
        found.append(parse.index(answer.content))
    return _once(pl.concat(found)), lists


def _once(listed: pl.DataFrame) -> pl.DataFrame:
    """One row a filing, with the filers of all its entries: they may lie on two pages of the feed."""
    filers = pl.col("filer_ciks").explode().unique(maintain_order=True)
    rest = [name for name in parse.FILINGS if name not in ("accession_no", "filer_ciks")]
    return (
        listed.group_by("accession_no", maintain_order=True)
        .agg(filers, *(pl.col(name).drop_nulls().first() for name in rest))
        .select(list(parse.FILINGS))
    )


def _feed(run: Run, hook: SecEdgar, first_page: int, since: datetime) -> tuple[list[pl.DataFrame], list[int]]:
    """The feed's pages from the newest to the one that reaches back to `since`."""
    lists, found = [first_page], []
    while True:
        page = parse.feed(run.landing.read(lists[-1]).content)
        found.append(page.filter(pl.col("form").str.contains(OWNERSHIP_FORMS), pl.col("accepted_at") >= since))
        if page.is_empty() or page["accepted_at"].min() < since or len(lists) == LAST_PAGE:  # type: ignore[operator]
            return found, lists
        lists.append(run.landing.put(hook.getcurrent(len(lists) * PAGE, count=PAGE)))


def _plan_files(run: Run, paths: Sequence[str]) -> list[Batch]:
    """The files' documents; one that EDGAR gave already, with its acceptance time, is not loaded from a file again."""
    found = [answer for answer in files.read_all(paths, endpoints=FILE_ENDPOINTS) if answer.endpoint == "ownership"]
    if not found:
        raise files.UnknownFile(f"--from-files {' '.join(paths)}: no ownership documents (Forms 3, 4, 5) among them")
    done = db.query(run.engine, "ownership_landed", keys=[answer.key for answer in found]).filter("published")["key"]
    if len(done):
        log.info("insider_trades: %d of the files' filings came from EDGAR already", len(done))
    ids = [run.landing.put(answer) for answer in found if answer.key not in set(done)]
    parts = base.chunks(ids, DOCUMENTS_PER_BATCH)
    return [
        {"key": f"{number:03d} of {len(parts):03d}, {len(part)} files", "landing_ids": part}
        for number, part in enumerate(parts, 1)
    ]


def _document(answer: Landed) -> parse.Document:
    """The document with what is known of it from outside: what it was asked by, or a header that lay beside a file."""
    if answer.request.get("method") != "file":
        return parse.Document(body=answer.content, name=answer.key, header=Header(accession_no=answer.key))
    beside = answer.request.get("header") or {}
    filed_on, accepted_at = beside.get("filed_on"), beside.get("accepted_at")
    header = Header(
        accession_no=beside.get("accession_no"),
        form=beside.get("form"),
        filed_on=date.fromisoformat(filed_on) if filed_on else None,
        accepted_at=datetime.fromisoformat(accepted_at) if accepted_at else None,
    )
    return parse.Document(body=answer.content, name=answer.request["path"], header=header)


def _refused(run: Run, problems: pl.DataFrame, answers: dict[str, Landed]) -> pl.DataFrame:
    """A row for everything that was refused: the audit quarantines it under the problem's name."""
    rows = []
    documents = {_document(answer).name: answer for answer in answers.values()} | answers
    for problem, key, detail in problems.iter_rows():
        of_document = key in documents
        answer = documents[key if of_document else key.split(" ")[0]]
        if of_document:
            run.unread.append(answer.landing_id)
        rows.append(
            {
                "accession_no": None if problem == "no accession" else answer.key,
                "landing_id": answer.landing_id,
                "fetched_at": answer.fetched_at,
                "refused": f"{problem}: {detail}",
            }
        )
    schema = {"accession_no": pl.String} | base.LINEAGE | {"refused": pl.String}
    return pl.DataFrame(rows, schema=schema)
