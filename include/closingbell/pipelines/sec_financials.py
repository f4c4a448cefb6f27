"""Company facts and filing histories from SEC EDGAR -> filings, financial_facts, financials.

Due are the companies that filed since the watermark (EDGAR's daily index), those that failed before, or all of them:
up to 500 company by company at SEC's rate, more from its bulk zips. An answer tells all of its company: what a newer
one no longer gives (SEC takes filings back) is withdrawn, except in a run that `years` narrows.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import re
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from closingbell.fundamentals import compute, daily_index, filings, parse
from closingbell.hooks import open_hook
from closingbell.landing import Landed
from closingbell.pipelines import base, daily_indexes, files
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.sessions import NEW_YORK
from closingbell.warehouse import db, failures
from closingbell.warehouse import load as warehouse

log = logging.getLogger(__name__)

COMPANIES_PER_BATCH = 100
BULK_OVER = 500  # companies due; at 8 requests a second SEC's zips are sooner there
TABLES = ("filings", "financial_facts", "financials")
INDEX_DAYS = 400  # a watermark older than this asks for everything instead
LATE_DAYS = 7  # before the watermark: an index that EDGAR gave late is caught
MEMBER = re.compile(r"CIK(\d{10})(-submissions-\d+)?\.json")
FILINGS = pl.Schema(filings.SCHEMA)
MAX_MEMBER = 256 * 1024 * 1024
LAG_DAYS = 60


def plan(run: Run) -> list[Batch]:
    """Batches of up to 100 companies; `ciks` to ask for, or `landing_ids` of answers that are here already."""
    if paths := run.params.get("from_files"):
        return _plan_files(run, paths)
    ciks, told, everything = _due(run)
    if limit := run.params.get("limit"):
        ciks, told, everything = ciks[: int(limit)], {}, False
    log.info("sec_financials: %d companies due", len(ciks))
    bulk: dict[str, Any] = {}
    if len(ciks) > BULK_OVER and not run.params.get("dry_run"):
        bulk = {"landing_ids": list(land_bulk(run, ("companyfacts_zip", "submissions_zip")).values())}
        members = _members(run, bulk["landing_ids"][0])
        ciks = members if everything else sorted(set(ciks) & set(members))
    return [
        {"key": f"{part[0]:010d}-{part[-1]:010d}", "ciks": part} | bulk | told
        for part in base.chunks(ciks, COMPANIES_PER_BATCH)
    ]


def land(run: Run, batch: Batch) -> Batch:
    """Company facts, filing history and the older pages that hold an acceptance time some fact needs."""
    if "landing_ids" in batch:
        return batch
    stage_id = warehouse.stage_id(run.dag_id, run.run_id, TABLES[0])

    def ask(endpoint: str, keys: list[str], fetch: Any) -> dict[str, int]:
        here = db.query(run.engine, "landed_since_open", stage_id=stage_id, vendor="sec_edgar", endpoint=endpoint)
        landed = {key: id_ for key, id_ in here.iter_rows() if key in keys}
        return landed | base.land_each(run, endpoint, "sec_edgar", [k for k in keys if k not in landed], fetch)

    with closing(open_hook("sec_edgar", run.engine)) as hook:
        facts = ask("companyfacts", [f"{cik:010d}" for cik in batch["ciks"]], lambda key: hook.companyfacts(int(key)))
        histories = ask("submissions", list(facts), lambda key: hook.submissions(int(key)))
        needed = _pages_needed(run, facts, histories)
        pages = ask("submissions_page", needed, hook.submissions_page)
    for key in set(failures.pending(run.engine, "sec_edgar", "submissions_page")) - set(needed):
        if key[3:13] in histories:  # what it would have told is told elsewhere by now
            failures.resolve(run.engine, "sec_edgar", "submissions_page", key)
    return batch | {"landing_ids": [*facts.values(), *histories.values(), *pages.values()]}


def frames(run: Run, landed: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """filings, financial_facts and financials of one batch of companies."""
    parts: dict[str, list[pl.DataFrame]] = {"filings": [], "facts": []}
    year_ends: dict[int, str | None] = {}
    answered: dict[int, date] = {}
    for answer, parsed in base.parse_each(run, company_answers(run, landed), _parse):
        if answer.endpoint == "companyfacts":
            parts["facts"].append(base.with_lineage(parsed, answer))
            answered |= dict.fromkeys(parsed["cik"].unique(), answer.answered_at.astimezone(NEW_YORK).date())
        else:
            parts["filings"].append(base.with_lineage(parsed.filings, answer))
            if answer.endpoint == "submissions":
                year_ends[parsed.cik] = parsed.fiscal_year_end
    histories = _concat(parts["filings"], filings.SCHEMA).with_columns(asked_on=pl.col("fetched_at").dt.date())
    histories = filings.read_together(histories, by=("cik", "asked_on")).drop("asked_on")
    histories = histories.unique(["accession_no", "cik"], keep="first")
    facts = _concat(parts["facts"], parse.SCHEMA)
    ciks = facts["cik"].unique().sort().to_list()
    known = pl.concat(
        [
            histories.drop("landing_id", "fetched_at"),
            db.query(run.engine, "filings_of", ciks=ciks).cast(FILINGS),
        ]
    )
    facts = parse.with_known_at(facts, known.unique(["accession_no", "cik"], keep="first"))
    _record_lag(run, facts, known, answered)
    statements_come_from = pl.col("form").str.contains(daily_index.STATEMENT_FORMS.pattern)
    registers_receipts = pl.col("form").str.starts_with("F-6")
    histories = histories.filter(
        statements_come_from
        | registers_receipts
        | pl.col("accession_no").is_in(facts["accession_no"].unique().implode())
    )
    if told_since := landed.get("told_since"):  # their newer answers are in a batch of their own
        facts = facts.filter(~pl.col("cik").is_in(told_since))
    lineage = facts.group_by("cik").agg(pl.col("landing_id").max(), pl.col("fetched_at").max())
    statements = compute.statements(facts.drop("landing_id", "fetched_at"), year_ends).join(lineage, on="cik")
    if years := run.params.get("years"):
        earliest = max(answered.values(), default=date.max) - timedelta(days=round(365.25 * int(years)))
        facts = facts.filter(pl.col("period_end") >= earliest)
        statements = statements.filter(pl.col("period_end") >= earliest)
    yield "filings", histories
    yield "financial_facts", facts
    yield "financials", statements


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """The companies asked for; of a whole run, what it knows of EDGAR's index (see _due) and the universe of then."""
    told = next(({"watermark": b["watermark"], "unread": b["unread"]} for b in batches if "watermark" in b), None)
    ciks = [cik for batch in batches for cik in batch.get("ciks", ())]
    wanted = {"ciks": ciks} if ciks else {}
    if told is None:
        return {"financial_facts": wanted, "financials": wanted}
    universe = db.query(run.engine, "universe_ciks")["cik"].to_list()
    return {"financial_facts": wanted, "financials": wanted | told | {"universe": universe}}


def replay(run: Run) -> list[Batch]:
    """Batches of the newest landed answer of every company."""
    facts_zip = run.landing.latest("sec_edgar", "companyfacts_zip").get("all")
    if facts_zip is None:
        return _batches_of_landed(run)
    ids = [facts_zip, *run.landing.latest("sec_edgar", "submissions_zip").values()]
    members = _members(run, facts_zip)
    newer = {int(key) for key in db.query(run.engine, "facts_answered_after", landing_id=facts_zip)["key"]}
    batches: list[Batch] = [
        {
            "key": f"zip {part[0]:010d}-{part[-1]:010d}",
            "ciks": part,
            "landing_ids": ids,
            "told_since": sorted(newer.intersection(part)),
        }
        for part in base.chunks(members, COMPANIES_PER_BATCH)
    ]
    return batches + _batches_of_landed(run, without_facts=set(members) - newer)


LOAD = Load(
    name="sec_financials",
    tables=TABLES,
    plan=plan,
    land=land,
    frames=frames,
    replay=replay,
    expected=expected,
    retold=lambda run: not run.params.get("years"),
)


def land_bulk(run: Run, endpoints: Sequence[str]) -> dict[str, int]:
    """Land SEC's bulk zips, {endpoint: landing_id}."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, closing(open_hook("sec_edgar", run.engine)) as hook:
        return {endpoint: run.landing.put(getattr(hook, endpoint)(Path(folder))) for endpoint in endpoints}


def _due(run: Run) -> tuple[list[int], dict[str, Any], bool]:
    """The companies to ask for, what the run then knows, and whether it asks for all.

    What it knows: `watermark`, the day up to which it has every filing, but for those of the days `unread`, whose index
    cannot be read: the run after it asks for them again. Nothing where it is told its companies.
    """
    if tickers := run.params.get("tickers"):
        found = db.query(run.engine, "ciks_of_tickers", tickers=tickers)
        if unknown := sorted(set(tickers) - set(found["ticker"])):
            raise ValueError(f"sec_financials: no company with ticker {unknown} is known; run universe first")
        return found["cik"].unique().sort().to_list(), {}, False
    universe = db.query(run.engine, "universe_ciks")["cik"].to_list()
    unread: list[date] = []
    with closing(open_hook("sec_edgar", run.engine)) as hook:
        today = hook.company_tickers().answered_at.astimezone(NEW_YORK).date()
        state = db.query(run.engine, "financials_watermark").row(0, named=True)
        since = date.fromisoformat(state["watermark"]) if state["watermark"] else None
        everything = run.params.get("full") or not state["filled"]
        if everything or since is None or (today - since).days > INDEX_DAYS:
            return universe, {"watermark": today.isoformat(), "unread": []}, True
        due = set(universe) - set(db.query(run.engine, "ciks_asked_for")["cik"])
        left = {date.fromisoformat(day) for day in state["unread"]}
        days = {since + timedelta(days=offset) for offset in range(-LATE_DAYS, (today - since).days + 1)} | left
        landed = run.landing.latest("sec_edgar", "daily_index", [day.isoformat() for day in days])
        index = {date.fromisoformat(answer.key): answer for answer in run.landing.read_each(landed.values())}
        wanted: dict[date, Landed | None] = {}
        for day in sorted(day for day in days if day.weekday() < 5):
            answer = index.get(day)
            if answer is None or answer.answered_at.astimezone(NEW_YORK).date() <= day:  # that day was not over
                wanted[day] = None
            elif day in left or day >= since or answer.fetched_at > state["read_at"]:
                wanted[day] = answer  # no run that published has read it
        for _, _, filed in daily_indexes.read(run, hook, wanted, unread):
            due |= set(filed.filter(pl.col("form").str.contains(daily_index.STATEMENT_FORMS.pattern))["cik"])
    failed = set(db.query(run.engine, "companies_failed")["cik"])
    told = {"watermark": today.isoformat(), "unread": [day.isoformat() for day in unread]}
    return sorted((due & set(universe)) | failed), told, False


def _plan_files(run: Run, paths: Sequence[str]) -> list[Batch]:
    zips: dict[int, str] = {}
    single: dict[str, list[int]] = {}
    wanted = ("companyfacts", "submissions", "submissions_page", "companyfacts_zip", "submissions_zip")
    for answer in files.read_all(paths, endpoints=wanted):
        landing_id = run.landing.put(answer)
        if answer.endpoint.endswith("_zip"):
            zips[landing_id] = answer.endpoint
        else:
            single.setdefault(answer.key.removeprefix("CIK")[:10], []).append(landing_id)
    batches = [
        {"key": f"files {part[0]}-{part[-1]}", "landing_ids": [id_ for cik in part for id_ in single[cik]]}
        for part in base.chunks(sorted(single), COMPANIES_PER_BATCH)
    ]
    # SEC's zip of submissions names a million filers, most of whom never gave a fact
    with_facts = [id_ for id_, endpoint in zips.items() if endpoint == "companyfacts_zip"]
    members = sorted({cik for id_ in with_facts or zips for cik in _members(run, id_)})
    batches += [
        {"key": f"zip {part[0]:010d}-{part[-1]:010d}", "ciks": part, "landing_ids": list(zips)}
        for part in base.chunks(members, COMPANIES_PER_BATCH)
    ]
    if not batches:
        raise files.UnknownFile(f"--from-files {' '.join(paths)}: no company facts or submissions among them")
    return batches


def _batches_of_landed(run: Run, *, without_facts: Collection[int] = ()) -> list[Batch]:
    ids: dict[str, list[int]] = {}
    for endpoint in ("companyfacts", "submissions", "submissions_page"):
        for key, landing_id in run.landing.latest("sec_edgar", endpoint).items():
            if endpoint != "companyfacts" or int(key) not in without_facts:
                ids.setdefault(key.removeprefix("CIK")[:10], []).append(landing_id)
    return [
        {"key": f"answers {part[0]}-{part[-1]}", "landing_ids": [id_ for cik in part for id_ in ids[cik]]}
        for part in base.chunks(sorted(ids), COMPANIES_PER_BATCH)
    ]


def _members(run: Run, landing_id: int) -> list[int]:
    return sorted(_archive(run.landing.read(landing_id).file)[1])


def _archive(file: Path | io.BufferedReader) -> tuple[zipfile.ZipFile, dict[int, list[zipfile.ZipInfo]]]:
    """The open zip and its members by CIK, indexed once a process: every batch reads some of them."""
    return _indexed(file, file.stat().st_mtime_ns if isinstance(file, Path) else 0)


@lru_cache(maxsize=4)
def _indexed(file: Path | io.BufferedReader, modified: int) -> tuple[zipfile.ZipFile, dict[int, list[zipfile.ZipInfo]]]:
    archive = zipfile.ZipFile(file)
    members: dict[int, list[zipfile.ZipInfo]] = {}
    for member in archive.infolist():
        if match := MEMBER.fullmatch(member.filename.rpartition("/")[2]):
            members.setdefault(int(match[1]), []).append(member)
    return archive, members


def company_answers(run: Run, landed: Batch) -> Iterator[Landed]:
    """The batch's single answers; a zip's members of the batch's companies as if each had been asked for."""
    for answer in run.landing.read_each(landed["landing_ids"]):
        if not answer.endpoint.endswith("_zip"):
            yield answer
            continue
        archive, members = _archive(answer.file)
        for member in (member for cik in landed["ciks"] for member in members.get(cik, ())):
            if member.file_size > MAX_MEMBER:
                raise ValueError(f"{answer.endpoint} {member.filename}: over {MAX_MEMBER} bytes")
            name = member.filename.rpartition("/")[2]
            is_page = "-submissions-" in name
            endpoint = "submissions_page" if is_page else answer.endpoint.removesuffix("_zip")
            key = name if is_page else name[3:13]
            yield dataclasses.replace(answer, endpoint=endpoint, key=key, body=archive.read(member))


def _parse(answer: Landed) -> Any:
    if answer.endpoint == "companyfacts":
        return parse.companyfacts(answer.content)
    if answer.endpoint == "submissions":
        return filings.parse_submissions(answer.content)
    return filings.parse_page(answer.content, cik=int(answer.key[3:13]))


def _pages_needed(run: Run, facts: dict[str, int], histories: dict[str, int]) -> list[str]:
    """Older pages of the histories whose days hold a filing that facts come from and the newest page does not list."""
    needed: list[str] = []
    for key, landing_id in histories.items():
        try:
            history = filings.parse_submissions(run.landing.read(landing_id).content)
            filed = parse.companyfacts(run.landing.read(facts[key]).content).select("accession_no", "filed_on").unique()
        except ValueError:
            continue  # frames() records it
        lost = filed.join(history.filings, on="accession_no", how="anti")["filed_on"]
        needed += [
            page.name for page in history.pages if lost.is_between(page.filed_from, page.filed_to, closed="both").any()
        ]
    return needed


def _record_lag(run: Run, facts: pl.DataFrame, known: pl.DataFrame, answered: dict[int, date]) -> None:
    """Company facts can lag a 10-K or 10-Q that the history lists: ask again on the next run (Equibles#4494)."""
    newest = facts.group_by("cik").agg(pl.col("filed_on").max().alias("facts_to"))
    reports = known.filter(pl.col("form").is_in(["10-K", "10-Q"])).group_by("cik").agg(pl.col("filed_on").max())
    for cik, filed_on, facts_to in reports.join(newest, on="cik").select("cik", "filed_on", "facts_to").iter_rows():
        if facts_to < filed_on and 0 <= (answered[cik] - filed_on).days <= LAG_DAYS:
            message = f"facts end with filings of {facts_to}, a report was filed on {filed_on}; asked again next run"
            failures.record(run.engine, "sec_edgar", "companyfacts", f"{cik:010d}", message, run.dag_id, run.run_id)


def _concat(parts: list[pl.DataFrame], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema | base.LINEAGE)
