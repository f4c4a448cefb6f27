"""Who is listed: SEC's ticker list and submissions, a vendor's reference tickers, index lists, the operator's files
-> companies, securities, ticker_history, index_members.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from closingbell.connections import ConnectionMissing
from closingbell.fundamentals import filings
from closingbell.hooks import open_hook
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import VendorError
from closingbell.landing import Landed
from closingbell.pipelines import base, files
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.pipelines.sec_financials import BULK_OVER, COMPANIES_PER_BATCH, company_answers, land_bulk
from closingbell.sessions import NEW_YORK
from closingbell.settings import settings
from closingbell.universe import compute, parse
from closingbell.warehouse import db

log = logging.getLogger(__name__)

TABLES = ("companies", "securities", "ticker_history", "index_members")
LISTS = "lists"
LISTED_SHARE = 0.9  # of the securities listed before
LANDED_PER_BATCH = 1000  # companies whose submissions are here already
TICKER_LISTS = (("sec_edgar", "company_tickers"), ("polygon", "tickers"), ("tiingo", "supported_tickers"))
FILE_ENDPOINTS = (
    *(endpoint for _, endpoint in TICKER_LISTS), "ticker_details", "ticker_events", "sp500", "fortune500",
    "submissions", "submissions_zip",
)  # fmt: skip
SCHEMAS: dict[str, dict[str, Any]] = {
    "companies": compute.COMPANIES,
    "securities": compute.SECURITIES,
    "ticker_history": compute.TICKER_HISTORY,
    "index_members": compute.INDEX_MEMBERS,
}


def plan(run: Run) -> list[Batch]:
    """One batch of lists, landed here because they name the companies, and batches of up to 100 companies."""
    if paths := run.params.get("from_files"):
        return _plan_files(run, paths)
    return _batches(run, _land_lists(run), None)


def _plan_files(run: Run, paths: Sequence[str]) -> list[Batch]:
    lists: list[int] = []
    given: dict[str, int] = {}
    found: set[str] = set()
    for answer in files.read_all(paths, endpoints=FILE_ENDPOINTS):
        landing_id = run.landing.put(answer)
        found.add(answer.endpoint)
        if answer.endpoint.startswith("submissions"):
            given[answer.key] = landing_id
        else:
            lists.append(landing_id)
    if not found.intersection(("company_tickers", "tickers")):
        # members, details or events alone are about the tickers that were listed before
        known = [id_ for list_ in TICKER_LISTS for id_ in run.landing.latest(*list_).values()]
        if not known:
            raise files.UnknownFile(f"--from-files {' '.join(paths)}: no list of tickers (company_tickers.json) in it")
        lists = [*known, *lists]
    return _batches(run, lists, given)


def land(run: Run, batch: Batch) -> Batch:
    """A company batch's submissions; for the lists, the events and details of shares that were not known before."""
    if "landing_ids" in batch:
        return batch
    if batch["key"] == LISTS:
        return batch | {"landing_ids": [*batch["lists"], *_land_details(run, batch)]}
    keys = [f"{cik:010d}" for cik in batch["ciks"]]
    with closing(open_hook("sec_edgar", run.engine)) as hook:
        landed = base.land_each(run, "submissions", "sec_edgar", keys, lambda key: hook.submissions(int(key)))
    return batch | {"landing_ids": [*landed.values()]}


def frames(run: Run, landed: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """All four tables; those that the batch says nothing about are empty."""
    found = dict.fromkeys(TABLES, None) | (
        _listed(run, landed) if landed["key"] == LISTS else {"companies": _companies(run, landed)}
    )
    for table in TABLES:
        frame = found[table]
        yield table, pl.DataFrame(schema=SCHEMAS[table] | base.LINEAGE) if frame is None else frame


def replay(run: Run) -> list[Batch]:
    """The newest landed lists, and submissions of every company."""
    lists = [
        landing_id
        for vendor, endpoint in (
            ("sec_edgar", "company_tickers"), ("polygon", "tickers"), ("polygon", "ticker_events"),
            ("polygon", "ticker_details"), ("tiingo", "supported_tickers"), ("reference", "sp500"),
            ("operator", "fortune500"), ("operator", "stocks"),
        )
        for landing_id in run.landing.latest(vendor, endpoint).values()
    ]  # fmt: skip
    given = run.landing.latest("sec_edgar", "submissions_zip") | run.landing.latest("sec_edgar", "submissions")
    return [{"landing_ids": lists} | batch for batch in _batches(run, lists, given)]


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """Nearly as many securities as are listed now: a list that came cut short ends no listing."""
    if _is_narrow(run) or run.params.get("source") == "stocks_table" or run.params.get("from_files"):
        return {}
    current = db.query(run.engine, "securities_all")
    return {"securities": {"min_rows": round(LISTED_SHARE * current["last_session"].null_count())}}


LOAD = Load(name="universe", tables=TABLES, plan=plan, land=land, frames=frames, replay=replay, expected=expected)


def _land_lists(run: Run) -> list[int]:
    if run.params.get("source") == "stocks_table":
        return [_land_stocks(run)]
    landed: list[int] = []
    for conn_id, ask in (
        ("sec_edgar", lambda hook: [hook.company_tickers()]),
        ("polygon", lambda hook: (answer for active in (True, False) for answer in hook.tickers(active))),
        ("tiingo", lambda hook: [hook.supported_tickers()]),
        ("reference", lambda hook: [hook.sp500()]),
    ):
        if conn_id in ("polygon", "tiingo") and conn_id != settings().price_vendor:
            continue
        try:
            hook = open_hook(conn_id, run.engine)
        except ConnectionMissing as error:
            if conn_id == "sec_edgar":
                raise
            log.warning("universe goes without %s: %s", conn_id, error)
            continue
        try:
            with closing(hook):
                landed += [run.landing.put(answer) for answer in ask(hook)]
        except VendorError as error:
            if conn_id != "reference":
                raise
            # members change a few times a year: last week's list is better than no universe
            log.warning("universe goes on with the index members landed before: %s", error)
            landed += run.landing.latest("reference", "sp500").values()
    if path := settings().fortune500_csv:
        landed.append(run.landing.put(_operator("fortune500", path.read_bytes())))
    if settings().stocks_conn_id:
        landed.append(_land_stocks(run))
    return landed


def _land_stocks(run: Run) -> int:
    """The operator's own table of stocks, as CSV."""
    if not (conn_id := settings().stocks_conn_id):
        raise ValueError("universe: no table of stocks: name its connection in CLOSINGBELL_STOCKS_CONN_ID")
    rows = db.query(db.engine(db.connection_url(conn_id)), "operator_stocks")
    return run.landing.put(_operator("stocks", rows.write_csv().encode()))


def _operator(endpoint: str, body: bytes) -> Answer:
    now = datetime.now(UTC)
    return Answer(
        vendor="operator", endpoint=endpoint, key="all", request={"method": "file"}, body=body, content_type="text/csv",
        answered_at=now, fetched_at=now,
    )  # fmt: skip


def _batches(run: Run, lists: list[int], given: dict[str, int] | None) -> list[Batch]:
    """`given`: landed submissions by CIK, and the bulk zip by `all`; None asks SEC company by company."""
    listings = _listings(run, _by_endpoint(run, lists))
    ciks = listings["cik"].drop_nulls().unique().sort().to_list()
    if limit := run.params.get("limit"):
        ciks = ciks[: int(limit)]
    if given is None and len(ciks) > BULK_OVER:
        given = {"all": land_bulk(run, ("submissions_zip",))["submissions_zip"]}
    batches: list[Batch] = [{"key": LISTS, "lists": lists, "ciks": ciks if run.params.get("limit") else None}]
    for part in base.chunks(ciks, COMPANIES_PER_BATCH if given is None else LANDED_PER_BATCH):
        batch: Batch = {"key": f"{part[0]:010d}-{part[-1]:010d}", "ciks": part, "lists": lists}
        if given is not None:
            keys = ["all", *(f"{cik:010d}" for cik in part)]
            batch["landing_ids"] = [given[key] for key in keys if key in given]
        batches.append(batch)
    return batches


def _land_details(run: Run, batch: Batch) -> list[int]:
    """Ticker events of shares seen for the first time, and details of every share of companies with several classes."""
    if settings().price_vendor != "polygon" or run.params.get("from_files"):
        return []
    answers = _by_endpoint(run, batch["lists"])
    if not answers.get("tickers"):
        return []
    served = pl.concat([parse.polygon_tickers(answer.content) for answer in answers["tickers"]])["ticker"]
    scored = pl.col("type").is_in(compute.SCORED_TYPES) & pl.col("ticker").is_in(served.implode())
    active = _narrowed(_listings(run, answers), batch).filter(scored & pl.col("delisted_on").is_null())
    on = _on(answers)
    known = db.query(run.engine, "ticker_history_rows")["ticker"]
    seen = pl.col("ticker").is_in(known.implode()) & (not run.params.get("full"))
    new = active.filter(~seen)["ticker"].to_list()
    several = active.filter(pl.col("cik").is_not_null() & (pl.len().over("cik") > 1))["ticker"].to_list()
    try:
        with closing(open_hook("polygon", run.engine)) as hook:
            events = base.land_each(run, "ticker_events", "polygon", new, hook.ticker_events)
            details = base.land_each(
                run, "ticker_details", "polygon", several, lambda key: hook.ticker_details(key, on)
            )
    except VendorError as error:
        # a plan may lack these; without them old tickers and class shares are unknown, nothing else
        log.warning("universe goes without ticker events and details: %s", error)
        return []
    return [*events.values(), *details.values()]


def _listed(run: Run, landed: Batch) -> dict[str, pl.DataFrame]:
    """securities, ticker_history and index_members of the lists."""
    answers = _by_endpoint(run, landed["landing_ids"])
    on, newest = _on(answers), max((a for found in answers.values() for a in found), key=_age)
    listings = _narrowed(_listings(run, answers), landed)
    current = db.query(run.engine, "securities_all").cast(pl.Schema(compute.SECURITIES))
    history = db.query(run.engine, "ticker_history_rows").cast(pl.Schema(compute.TICKER_HISTORY))
    events = [parse.ticker_events(answer.content) for answer in answers.get("ticker_events", ())]
    universe = compute.securities(listings, current, history, on=on, events=pl.concat(events) if events else None)
    securities = _over(universe.securities, current, ["security_id"])
    tickers = _over(universe.ticker_history, history, ["ticker", "valid_from"])
    members = db.query(run.engine, "index_members_rows").cast(pl.Schema(compute.INDEX_MEMBERS))
    if _is_narrow(run):
        members = members.filter(pl.col("security_id").is_in(universe.securities["security_id"].implode()))
    problems = [universe.problems]
    indices = []
    for name, rows in (("sp500", _sp500(answers)), ("fortune500", _fortune500(answers, problems))):
        if rows is None:
            continue
        matched, unmatched = compute.match_members(rows, securities, tickers, on=on)
        if not _is_narrow(run):
            problems.append(unmatched)
        else:
            matched = matched.filter(pl.col("security_id").is_in(universe.securities["security_id"].implode()))
        indices.append(compute.index_members(name, matched, members, on=on))
    for frame in problems:
        for problem, key, detail in frame.head(50).iter_rows():
            log.warning("%s: %s: %s", problem, key, detail)
        if frame.height > 50:
            log.warning("... and %d more such problems", frame.height - 50)
    found = {
        "securities": universe.securities,
        "ticker_history": universe.ticker_history,
        "index_members": pl.concat(indices) if indices else pl.DataFrame(schema=compute.INDEX_MEMBERS),
    }
    return {table: base.with_lineage(frame, newest) for table, frame in found.items()}


def _companies(run: Run, landed: Batch) -> pl.DataFrame:
    """New versions of the batch's companies; without submissions, what the lists say of them."""
    answers = _by_endpoint(run, landed["lists"])
    ciks = landed["ciks"]
    observed: dict[int, dict[str, Any]] = {
        row["cik"]: {"cik": row["cik"], "name": row["name"]}
        for row in _listings(run, answers).filter(pl.col("cik").is_in(ciks)).sort("ticker", descending=True).to_dicts()
    }
    newest = max((a for found in answers.values() for a in found), key=_age)
    single = (a for a in company_answers(run, landed) if a.endpoint == "submissions")
    for answer, company in base.parse_each(run, single, lambda a: filings.parse_submissions(a.content)):
        if company.cik in observed:
            newest = max(newest, answer, key=_age)
            names = ("name", "sic", "sic_description", "fiscal_year_end", "state", "entity_type")
            observed[company.cik] = {"cik": company.cik} | {name: getattr(company, name) for name in names}
    attributes = {name: dtype for name, dtype in compute.COMPANIES.items() if name != "valid_from"}
    frame = pl.DataFrame(list(observed.values()), schema=attributes)
    operator = [parse.stocks(pl.read_csv(a.content, infer_schema=False)) for a in answers.get("stocks", ())]
    if (ranked := _fortune500(answers, [])) is not None:
        by_ticker = _listings(run, answers).select("ticker", "cik").unique("ticker", keep="first")
        operator.append(ranked.drop_nulls(["ticker", "sector"]).join(by_ticker, on="ticker"))
    sectors = pl.concat([rows.select("cik", "sector").drop_nulls() for rows in operator]) if operator else None
    with_sectors = compute.with_sectors(frame, sp500=_sp500(answers), operator=sectors)
    current = db.query(run.engine, "companies_newest").cast(pl.Schema(compute.COMPANIES))
    return base.with_lineage(compute.companies(with_sectors, current, on=_on(answers)), newest)


def _listings(run: Run, answers: dict[str, list[Landed]]) -> pl.DataFrame:
    def all_of(endpoint: str, read: Any) -> pl.DataFrame | None:
        parts = [read(answer) for answer in answers.get(endpoint, ())]
        return pl.concat(parts) if parts else None

    listings = compute.listings(
        company_tickers=all_of("company_tickers", lambda a: parse.company_tickers(a.content)),
        polygon=all_of("tickers", lambda a: parse.polygon_tickers(a.content)),
        details=all_of("ticker_details", lambda a: parse.ticker_details(a.content, on=_day(a))),
        supported=all_of("supported_tickers", lambda a: parse.supported_tickers(a.content)),
        stocks=all_of("stocks", lambda a: parse.stocks(pl.read_csv(a.content, infer_schema=False))),
    )
    asked = run.params.get("tickers")
    if not (tickers := asked or settings().only_tickers):
        return listings
    if unknown := sorted(set(tickers) - set(listings["ticker"])):
        message = f"universe: {unknown} are in no list of tickers; spell them as SEC does (BRK.B)"
        if asked or len(unknown) == len(set(tickers)):
            raise ValueError(message)
        log.warning("%s, or take them out of CLOSINGBELL_TICKERS", message)  # a stock that is gone stops no schedule
    ciks = listings.filter(pl.col("ticker").is_in(tickers))["cik"].drop_nulls()
    return listings.filter(pl.col("ticker").is_in(tickers) | pl.col("cik").is_in(ciks.implode()))


def _narrowed(listings: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    return listings if batch.get("ciks") is None else listings.filter(pl.col("cik").is_in(batch["ciks"]))


def _is_narrow(run: Run) -> bool:
    return bool(run.params.get("tickers") or run.params.get("limit") or settings().only_tickers)


def _sp500(answers: dict[str, list[Landed]]) -> pl.DataFrame | None:
    found = answers.get("sp500")
    return parse.sp500(found[-1].content) if found else None


def _fortune500(answers: dict[str, list[Landed]], problems: list[pl.DataFrame]) -> pl.DataFrame | None:
    if not (found := answers.get("fortune500")):
        return None
    ranked = parse.fortune500(found[-1].content)
    problems.append(ranked.problems)
    return ranked.rows


def _by_endpoint(run: Run, ids: Sequence[int]) -> dict[str, list[Landed]]:
    found: dict[str, list[Landed]] = {}
    for answer in run.landing.read_each(ids):
        found.setdefault(answer.endpoint, []).append(answer)
    return found


def _on(answers: dict[str, list[Landed]]) -> date:
    """The New York day the lists were given: SEC's, else the latest of the others."""
    listed = answers.get("company_tickers") or [a for found in answers.values() for a in found]
    return max(map(_day, listed))


def _age(answer: Landed) -> tuple[datetime, int]:
    return answer.fetched_at, answer.landing_id


def _day(answer: Landed) -> date:
    return answer.answered_at.astimezone(NEW_YORK).date()


def _over(new: pl.DataFrame, current: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    return pl.concat([new, current]).unique(key, keep="first", maintain_order=True)
