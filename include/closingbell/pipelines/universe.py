"""Who is listed: SEC's ticker list and submissions, a vendor's reference tickers, index lists, the operator's files
-> companies, securities, class_shares, ticker_history, index_members.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from closingbell.connections import ConnectionMissing
from closingbell.fundamentals import filings
from closingbell.hooks import open_hook
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import AuthFailed, VendorError
from closingbell.landing import Landed
from closingbell.pipelines import base, files
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.pipelines.sec_financials import BULK_OVER, COMPANIES_PER_BATCH, company_answers, land_bulk
from closingbell.sessions import NEW_YORK
from closingbell.settings import settings
from closingbell.universe import compute, members, parse
from closingbell.warehouse import db, failures
from closingbell.warehouse.tables import TABLES as SPECS

log = logging.getLogger(__name__)

TABLES = ("companies", "securities", "class_shares", "ticker_history", "index_members")
LISTS = "lists"
LISTED_SHARE = 0.9  # of the securities listed before
LANDED_PER_BATCH = 1000  # companies whose submissions are here already
FEW = 5  # answers about single shares that may all fail without stopping a run; more are an outage
ONE_RUN = timedelta(hours=1)  # a run's lists follow one another faster
LIST_ENDPOINTS = ("company_tickers", "tickers", "supported_tickers", "sp500", "fortune500", "stocks")

Tables = dict[str, pl.DataFrame]


class PlanLacks(AuthFailed):
    """The key's plan does not serve an endpoint at all."""

    concerns_all = True


TICKER_LISTS = (("sec_edgar", "company_tickers"), ("polygon", "tickers"), ("tiingo", "supported_tickers"))
FILE_ENDPOINTS = (
    *(endpoint for _, endpoint in TICKER_LISTS), "ticker_details", "ticker_events", "sp500", "fortune500",
    "submissions", "submissions_zip",
)  # fmt: skip
SCHEMAS: dict[str, dict[str, Any]] = {
    "companies": compute.COMPANIES,
    "securities": compute.SECURITIES,
    "class_shares": compute.CLASS_SHARES,
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
    """All five tables; those that the batch says nothing about are empty."""
    found: Tables
    if "generations" in landed:
        found = _rebuilt(run, landed)
    elif landed["key"] == LISTS:
        answers = _by_endpoint(run, landed["landing_ids"])
        found, problems = _of_lists(run, answers, _narrowed(_listings(run, answers), landed), _stored(run))
        _say(problems)
    else:
        answers = _by_endpoint(run, landed["lists"])
        current = db.query(run.engine, "companies_newest").cast(pl.Schema(compute.COMPANIES))
        found = {"companies": _companies(run, answers, _all_listings(run, answers), landed, current)}
    for table in TABLES:
        yield table, found[table] if table in found else _empty(table)


def replay(run: Run) -> list[Batch]:
    """One batch: the answers of every run that published, run by run.

    A run is told by its lists: a question that is asked again, or a pause, begins the next one. Where nothing was
    published (a new warehouse on an old landing zone), every landed answer counts.
    """
    generations: list[dict[str, list[int]]] = []
    asked: set[tuple[str, ...]] = set()
    last: datetime | None = None
    for id_, vendor, endpoint, key, fetched_at in db.query(run.engine, "universe_landings").iter_rows():
        if endpoint in LIST_ENDPOINTS:
            if last is None or fetched_at - last > ONE_RUN or (vendor, endpoint, key) in asked:
                generations.append({"lists": [], "submissions": []})
                asked.clear()
            asked.add((vendor, endpoint, key))
            last = fetched_at
        if generations:
            generations[-1]["submissions" if endpoint.startswith("submissions") else "lists"].append(id_)
    ids = [id_ for generation in generations for part in generation.values() for id_ in part]
    return [{"key": "replay", "generations": generations, "landing_ids": ids}] if generations else []


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
    if given is None and len(ciks) > BULK_OVER and not run.params.get("dry_run"):
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
    """Ticker events of shares seen for the first time, and details of every share of companies with several classes.

    Polygon tells the tickers that a share had before only share by share, and no list shows which shares had one. A
    first run so asks for some 4,500, later ones for a few: minutes on a plan without a limit, and on one of five
    requests a minute a retry goes on where the last one ended.
    """
    if settings().price_vendor != "polygon" or run.params.get("from_files"):
        return []
    answers = _by_endpoint(run, batch["lists"])
    if not answers.get("tickers"):
        return []
    served = pl.concat([parse.polygon_tickers(answer.content) for answer in answers["tickers"]])["ticker"]
    scored = pl.col("type").is_in(compute.SCORED_TYPES) & pl.col("ticker").is_in(served.implode())
    active = _narrowed(_listings(run, answers), batch).filter(scored & pl.col("delisted_on").is_null())
    on = _on(answers)
    stored = _stored(run)
    known = stored["ticker_history"].join(stored["securities"], on="security_id")
    failed = db.query(run.engine, "events_waiting")["key"]
    known = known.filter(~pl.col("ticker").is_in(failed.implode()) & (not run.params.get("full")))
    # a ticker that another company bears now is new
    new = [
        *active.filter(pl.col("cik").is_null()).join(known, on="ticker", how="anti")["ticker"],
        *active.filter(pl.col("cik").is_not_null()).join(known, on=["ticker", "cik"], how="anti")["ticker"],
    ]
    several = active.filter(pl.col("cik").is_not_null() & (pl.len().over("cik") > 1))["ticker"]
    with closing(open_hook("polygon", run.engine)) as hook:
        return [
            *_land_once(run, "ticker_events", new, hook.ticker_events, on),
            *_land_once(
                run,
                "ticker_details",
                [f"{ticker}@{on}" for ticker in several],
                lambda key: hook.ticker_details(key.rpartition("@")[0], on),
                on,
            ),
        ]


def _land_once(run: Run, endpoint: str, keys: list[str], fetch: Callable[[str], Answer], on: date) -> list[int]:
    """Polygon's answers of `keys`; those landed since day `on` (by a try before) are not asked for again."""
    failed = set(failures.pending(run.engine, "polygon", endpoint))
    if not (run.params.get("tickers") or run.params.get("limit")):
        for key in failed - set(keys):  # a share that is gone, or the details of a day that is past
            failures.resolve(run.engine, "polygon", endpoint, key)

    def ask(key: str) -> Answer:
        try:
            return fetch(key)
        except AuthFailed as error:
            raise PlanLacks(error.vendor, error.endpoint, error.key, error.status, error.message) from error

    here = db.query(run.engine, "landed_bars", vendor="polygon", endpoint=endpoint, keys=keys)
    landed = {
        key: landing_id
        for key, landing_id, answered_at in here.iter_rows()
        if key not in failed and answered_at.astimezone(NEW_YORK).date() >= on
    }
    absent = [key for key in keys if key not in landed]
    try:
        landed |= base.land_each(run, endpoint, "polygon", absent, ask)
    except PlanLacks as error:
        # old tickers, or the shares of each class, are unknown without it; nothing else is
        log.warning("universe goes without %s: %s; with another plan run it with full", endpoint, error)
    except VendorError as error:
        if error.concerns_all or len(absent) > FEW:
            raise
        log.warning("%s; the next run asks again", error)
    return [landed[key] for key in keys if key in landed]


def _of_lists(
    run: Run,
    answers: dict[str, list[Landed]],
    listings: pl.DataFrame,
    stored: Tables,
    named: tuple[pl.DataFrame, pl.DataFrame] | None = None,
) -> tuple[Tables, list[pl.DataFrame]]:
    """What one run's lists make of securities, class_shares, ticker_history and index_members; problems."""
    on = _on(answers)
    current = stored["securities"].select(list(compute.SECURITIES))
    history = stored["ticker_history"].select(list(compute.TICKER_HISTORY))
    events = [
        _of(frame, answer)
        for answer, frame in base.parse_each(
            run, answers.get("ticker_events", ()), lambda a: parse.ticker_events(a.content)
        )
    ]
    universe = compute.securities(
        listings, current, history, on=on, events=pl.concat(events) if events else None, named=named
    )
    securities = _over(universe.securities, current, ["security_id"])
    tickers = _over(universe.ticker_history, history, ["ticker", "valid_from"])
    touched = pl.col("security_id").is_in(universe.securities["security_id"].implode())
    before = stored["index_members"].select(list(compute.INDEX_MEMBERS))
    if _is_narrow(run):
        before = before.filter(touched)
    problems = [universe.problems]
    indices = [_empty("index_members")]
    for name, rows in (("sp500", _sp500(answers)), ("fortune500", _fortune500(answers, problems))):
        if rows is None:
            continue
        matched, found_wrong = members.match_members(rows, securities, tickers, on=on)
        if _is_narrow(run):
            matched = matched.filter(touched)
            found_wrong = found_wrong.filter(pl.col("problem") != "unmatched")
        problems.append(found_wrong)
        found = members.index_members(name, matched, before, on=on)
        indices.append(base.with_lineage(found, answers[name][-1]))
    return {
        "securities": _with_lineage(universe.securities, answers),
        "class_shares": _with_lineage(universe.class_shares, answers),
        "ticker_history": _with_lineage(universe.ticker_history, answers),
        "index_members": pl.concat(indices),
    }, problems


def _companies(
    run: Run, answers: dict[str, list[Landed]], listings: pl.DataFrame, landed: Batch, current: pl.DataFrame
) -> pl.DataFrame:
    """New versions of the batch's companies; without submissions, what the lists say of them."""
    listed = listings.filter(pl.col("cik").is_in(landed["ciks"])).sort("ticker", descending=True)
    observed: dict[int, dict[str, Any]] = {
        row["cik"]: {name: row[name] for name in ("cik", "name", "landing_id")} for row in listed.iter_rows(named=True)
    }
    single = (a for a in company_answers(run, landed) if a.endpoint == "submissions")
    names = ("name", "sic", "sic_description", "fiscal_year_end", "state", "entity_type")
    said: list[Landed] = []
    for answer, company in base.parse_each(run, single, lambda a: filings.parse_submissions(a.content)):
        if company.cik in observed:
            said.append(dataclasses.replace(answer, body=b""))
            about = {name: getattr(company, name) for name in names}
            observed[company.cik] = {"cik": company.cik, "landing_id": answer.landing_id} | about
    attributes = {name: dtype for name, dtype in (compute.COMPANIES | compute.LANDING).items() if name != "valid_from"}
    frame = pl.DataFrame(list(observed.values()), schema=attributes)
    operator = [parse.stocks(pl.read_csv(a.content, infer_schema=False)) for a in answers.get("stocks", ())]
    if (ranked := _fortune500(answers, [])) is not None and (told := ranked.drop_nulls("sector")).height:
        operator.append(members.match_companies(told, listings))
    sectors = pl.concat([rows.select("cik", "sector").drop_nulls() for rows in operator]) if operator else None
    if (sp500 := _sp500(answers)) is not None:
        sp500 = members.with_listed_ciks(sp500, listings)
    with_sectors = members.with_sectors(frame, sp500=sp500, operator=sectors)
    return _with_lineage(members.companies(with_sectors, current, on=_on(answers)), answers | {"submissions": said})


def _rebuilt(run: Run, landed: Batch) -> Tables:
    """The tables as the runs of a replay make them one after another, from nothing; securities keep their ids."""
    published = _stored(run)
    named = published["securities"], published["ticker_history"]
    tables = {table: _empty(table) for table in TABLES}
    carried: dict[str, list[Landed]] = {}
    problems: list[pl.DataFrame] = []
    for number, generation in enumerate(landed["generations"], 1):
        answers = _by_endpoint(run, generation["lists"])
        carried |= {name: found for name, found in answers.items() if name in LIST_ENDPOINTS}
        lacks = ["sp500"]  # as a run goes on with what it has
        if not answers.keys() & {"company_tickers", "tickers", "stocks"}:
            lacks += ["company_tickers", "tickers", "supported_tickers"]
        answers = {name: carried[name] for name in lacks if name in carried} | answers
        everybody = _all_listings(run, answers)
        listings = _listed_here(everybody, published["securities"])
        found, problems = _of_lists(run, answers, listings, tables, named)
        batch = {"ciks": listings["cik"].drop_nulls().unique().to_list(), "landing_ids": generation["submissions"]}
        found["companies"] = _companies(run, answers, everybody, batch, tables["companies"])
        for table in TABLES:
            tables[table] = _over(found[table], tables[table], list(SPECS[table].key))
        log.info("universe: %d of %d runs replayed", number, len(landed["generations"]))
    _say(problems)
    return tables | {table: _not_before(tables[table], published[table], table) for table in published}


def _listed_here(listings: pl.DataFrame, securities: pl.DataFrame) -> pl.DataFrame:
    """A replay's listings: where the deployment works on a list, those of it and of what else is stored."""
    if not (tickers := settings().only_tickers):
        return listings
    asked = listings.filter(pl.col("ticker").is_in(tickers))["cik"]
    ciks = pl.concat([asked, securities["cik"]]).drop_nulls().unique()
    return listings.filter(pl.col("ticker").is_in(tickers) | pl.col("cik").is_in(ciks.implode()))


def _not_before(rows: pl.DataFrame, published: pl.DataFrame, table: str) -> pl.DataFrame:
    """Replayed rows; one that a later answer is said to have given is that answer parsed anew."""
    key = list(SPECS[table].key)
    both = rows.join(published.select(*key, "landing_id", "fetched_at"), on=key, how="left", suffix="_published")
    later = (pl.col("fetched_at_published") > pl.col("fetched_at")) | (
        (pl.col("fetched_at_published") == pl.col("fetched_at"))
        & (pl.col("landing_id_published") > pl.col("landing_id"))
    )
    return both.with_columns(
        pl.when(later).then(f"{name}_published").otherwise(name).alias(name) for name in base.LINEAGE
    ).select(rows.columns)


def _stored(run: Run) -> Tables:
    return {
        table: db.query(run.engine, name).cast(pl.Schema(SCHEMAS[table] | base.LINEAGE))
        for table, name in (
            ("securities", "securities_rows"),
            ("ticker_history", "ticker_history_rows"),
            ("index_members", "index_members_rows"),
        )
    }


def _empty(table: str) -> pl.DataFrame:
    return pl.DataFrame(schema=SCHEMAS[table] | base.LINEAGE)


def _with_lineage(frame: pl.DataFrame, answers: dict[str, list[Landed]]) -> pl.DataFrame:
    """The rows with the answers that they come from; stored rows that stay have the newest list of tickers."""
    given = [answer for found in answers.values() for answer in found]
    lists = [a for a in given if a.endpoint in ("company_tickers", "tickers", "stocks")] or given
    times = pl.DataFrame(list({a.landing_id: a.fetched_at for a in given}.items()), schema=base.LINEAGE, orient="row")
    ids = pl.col("landing_id").fill_null(max(lists, key=_age).landing_id)
    return frame.with_columns(ids).join(times, on="landing_id", how="left")


def _of(frame: pl.DataFrame, answer: Landed) -> pl.DataFrame:
    return frame.with_columns(pl.lit(answer.landing_id, dtype=pl.Int64).alias("landing_id"))


def _say(problems: Iterable[pl.DataFrame]) -> None:
    """One record a kind of problem, whole: what is missing of a list is a list."""
    for (problem,), found in pl.concat(problems).group_by("problem", maintain_order=True) if problems else ():
        said = [f"{key}: {detail}" for key, detail in found.select("key", "detail").iter_rows()]
        log.warning("%s, %d: %s", problem, len(said), "; ".join(said))


def _all_listings(run: Run, answers: dict[str, list[Landed]]) -> pl.DataFrame:
    def all_of(endpoint: str, read: Callable[[Landed], pl.DataFrame]) -> pl.DataFrame | None:
        parts = [_of(read(answer), answer) for answer in answers.get(endpoint, ())]
        return pl.concat(parts) if parts else None

    details = base.parse_each(
        run, answers.get("ticker_details", ()), lambda a: parse.ticker_details(a.content, on=_day(a))
    )
    detailed = [_of(frame, answer) for answer, frame in details]
    return compute.listings(
        company_tickers=all_of("company_tickers", lambda a: parse.company_tickers(a.content)),
        polygon=all_of("tickers", lambda a: parse.polygon_tickers(a.content)),
        details=pl.concat(detailed) if detailed else None,
        supported=all_of("supported_tickers", lambda a: parse.supported_tickers(a.content)),
        stocks=all_of("stocks", lambda a: parse.stocks(pl.read_csv(a.content, infer_schema=False))),
    )


def _listings(run: Run, answers: dict[str, list[Landed]]) -> pl.DataFrame:
    """The listings of a run's lists that it is asked for."""
    listings = _all_listings(run, answers)
    asked = run.params.get("tickers")
    if not (tickers := asked or settings().only_tickers):
        return listings
    if unknown := sorted(set(tickers) - set(listings["ticker"])):
        message = f"universe: {unknown} are in no list of tickers; spell classes BRK.B or BRK-B"
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
    rows = pl.concat([new.select(current.columns), current])
    return rows.unique(key, keep="first", maintain_order=True)
