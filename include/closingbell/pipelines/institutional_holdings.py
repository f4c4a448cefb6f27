"""13F data sets, and single filings since the last of them -> institutional_filings, institutional_holdings.

A data set is read twice, as a stream: its values against the market's closes, which decide each filing's unit, then
its lines into the stage. Its rows take the place of those of single filings loaded before. Lines whose CUSIP was
nobody's when they were loaded get their security once it is known.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from closingbell.edgar import Header, accession_in
from closingbell.fundamentals import daily_index
from closingbell.hooks import open_hook
from closingbell.hooks.sec_edgar import SecEdgar
from closingbell.institutions import catalog, compute, parse
from closingbell.landing import Landed
from closingbell.pipelines import base, daily_indexes, files, filing_files
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.pipelines.cusips import wanted_quarters
from closingbell.sessions import NEW_YORK
from closingbell.warehouse import db, failures
from closingbell.warehouse.stage import ahead

log = logging.getLogger(__name__)

FILINGS_PER_BATCH = 200
INDEX_READY_HOUR = 23  # New York; a day's index that was fetched later is whole
READ = (
    "accession_no", "row_no", "issuer_name", "class_title", "cusip", "reported_value", "amount", "amount_type",
    "put_call", "discretion", "other_managers",
)  # fmt: skip
SCHEMAS = {
    "filings": parse.FILINGS, "managers": parse.MANAGERS, "holdings": parse.HOLDINGS, "problems": parse.PROBLEMS,
}  # fmt: skip
HOLDINGS = (
    "accession_no", "row_no", "institution_cik", "institution_name", "quarter", "filed_on", "known_at", "cusip",
    "security_id", "issuer_name", "class_title", "put_call", "discretion", "other_managers", "shares", "principal",
    "market_value",
)  # fmt: skip


def plan(run: Run) -> list[Batch]:
    """Quarters with lines whose security is known by now (`mapped`), data sets (`set`, `path`), one a batch, then the
    single filings since the last one (`filings`), 200 a batch."""
    mapped: list[Batch] = [
        {"key": f"mapped {quarter}", "mapped": str(quarter), "landing_ids": []}
        for quarter in db.query(run.engine, "form13f_quarters_to_map")["quarter"]
    ]
    if paths := run.params.get("from_files"):
        return mapped + _plan_files(run, paths)
    if db.query(run.engine, "securities_all").is_empty():
        raise ValueError("institutional_holdings: no security is known; run universe first")
    with closing(open_hook("sec_edgar", run.engine)) as hook:
        page = hook.form13f_sets()
        today = page.answered_at.astimezone(NEW_YORK).date()
        listed = catalog.data_sets(run.landing.read(run.landing.put(page)).content)
        quarters = wanted_quarters(run, today)
        wanted = _sets_wanted(run, listed, quarters)
        log.info("institutional_holdings: %d data sets: %s", wanted.height, ", ".join(wanted["name"]) or "none")
        batches = mapped + [
            {"key": name, "set": name, "path": path} for name, path in wanted.select("name", "path").iter_rows()
        ]
        after = max(listed["last"].to_list())
        if run.params.get("quarters") and all(q + timedelta(catalog.FILING_DAYS) <= after for q in quarters):
            return batches  # all that was asked for is in data sets
        return batches + _single_filings(run, hook, after + timedelta(days=1), today)


def land(run: Run, batch: Batch) -> Batch:
    """The data set's zip, or the batch's full submissions."""
    if "landing_ids" in batch:
        return batch
    with closing(open_hook("sec_edgar", run.engine)) as hook:
        if "set" in batch:
            with tempfile.TemporaryDirectory() as folder:
                answer = hook.form13f_set(batch["set"], batch["path"], Path(folder))
                return batch | {"landing_ids": [run.landing.put(answer)]}
        ciks = dict(batch["filings"])
        landed = base.land_each(
            run, "form13f_filing", "sec_edgar", ciks, lambda key: hook.form13f_filing(ciks[key], key)
        )
    return batch | {"landing_ids": list(landed.values())}


def frames(run: Run, landed: Batch) -> Iterator[tuple[str, pl.DataFrame | Iterator[pl.DataFrame]]]:
    """institutional_filings and institutional_holdings of a data set, as a stream, or of some single filings; of lines
    that get their security now the holdings alone, a stream as well."""
    cusips = db.query(run.engine, "mapped_cusips")
    if "mapped" in landed:
        stored = db.query(run.engine, "form13f_filings_of_quarter", quarter=landed["mapped"])
        yield "institutional_filings", stored.clear()
        named = compute.securities(cusips, stored["quarter"])
        some = base.chunks(stored["accession_no"].to_list(), FILINGS_PER_BATCH)
        yield "institutional_holdings", (_mapped(run, accession_nos, named) for accession_nos in some)
        return
    answers = run.landing.read_each(landed["landing_ids"])
    if "set" in landed:
        (answer,) = answers
        archive = answer.file  # on S3 it is open, and reads by ranges
        with archive.open("rb") if isinstance(archive, Path) else nullcontext(archive) as file:
            data = parse.DataSet(file, answer.key)
            prices = _prices(run, data.filings["quarter"], cusips)
            if prices.is_empty():
                evidence = pl.concat(data.holdings(columns=compute.EVIDENCE))
                prices = compute.peer_prices(evidence, data.filings)
            sums = [compute.sums(b, data.filings, prices) for b in ahead(data.holdings(columns=compute.EVIDENCE))]
            filings = _filings(run, data.filings, data.managers, pl.concat(sums), data.problems)
            yield "institutional_filings", base.with_lineage(filings, answer)
            named = compute.securities(cusips, filings["quarter"])
            positions = (_positions(batch, filings, named) for batch in data.holdings(columns=READ))
            yield "institutional_holdings", (base.with_lineage(rows, answer) for rows in positions)
        return
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in SCHEMAS}
    lineage = [pl.DataFrame(schema={"accession_no": pl.String} | base.LINEAGE)]
    tables: dict[str, bytes] = {}  # by filing, until its cover page comes
    for one, parsed in base.parse_each(run, answers, lambda answer: _parsed(answer, tables)):
        if parsed is None:
            continue
        for name, found in parts.items():
            found.append(getattr(parsed, name))
        lineage.append(base.with_lineage(parsed.filings.select("accession_no"), one))
    for key in tables:
        error = f"{key}: an information table without a cover page; give both, named by the accession number"
        failures.record(run.engine, "sec_edgar", "form13f_table", key, error, run.dag_id, run.run_id)
    read = {name: pl.concat([pl.DataFrame(schema=SCHEMAS[name]), *found]) for name, found in parts.items()}
    sources = pl.concat(lineage).unique("accession_no", keep="last")
    prices = _prices(run, read["filings"]["quarter"], cusips)
    sums_of = compute.sums(read["holdings"], read["filings"], prices)
    filings = _filings(run, read["filings"], read["managers"], sums_of, read["problems"])
    yield "institutional_filings", filings.join(sources, on="accession_no")
    named = compute.securities(cusips, filings["quarter"])
    yield "institutional_holdings", _positions(read["holdings"], filings, named).join(sources, on="accession_no")


def replay(run: Run) -> list[Batch]:
    """The newest answer of every data set, then of every single filing."""
    sets = sorted(run.landing.latest("sec_edgar", "form13f_set").items())
    single = {name: run.landing.latest("sec_edgar", f"form13f_{name}") for name in ("table", "cover", "filing")}
    return [{"key": name, "set": name, "landing_ids": [id_]} for name, id_ in sets] + _batches_of(**single)


LOAD = Load(
    name="institutional_holdings",
    tables=("institutional_holdings", "institutional_filings"),  # a filing that is here has its lines
    plan=plan,
    land=land,
    frames=frames,
    replay=replay,
)


def _sets_wanted(run: Run, listed: pl.DataFrame, quarters: Sequence[date]) -> pl.DataFrame:
    """The data sets of these quarters that are not published; with `full` also those that are, of a run without a
    window all of them."""
    asked = {name for quarter in quarters for name in catalog.of_quarter(listed, quarter)["name"]}
    published = set(db.query(run.engine, "form13f_published")["name"])
    if not run.params.get("full"):
        asked -= published
    elif not run.params.get("quarters") and not run.params.get("backfill"):
        asked |= published
    return listed.filter(pl.col("name").is_in(asked)).sort("first")


def _single_filings(run: Run, hook: SecEdgar, first: date, today: date) -> list[Batch]:
    """Batches of the 13F filings that the daily indices of `first` to `today` list and the warehouse has not."""
    days = [first + timedelta(days=n) for n in range((today - first).days + 1)]
    found = [
        pl.DataFrame(schema=daily_index.SCHEMA),
        *_indexes(run, hook, [day for day in days if day.weekday() < 5]),
    ]
    filed = pl.concat(found).filter(pl.col("form").str.contains(r"^13F-(HR|NT)(/A)?$")).unique("accession_no")
    known = db.query(run.engine, "form13f_filings_known", accession_nos=filed["accession_no"].to_list())
    due = filed.join(known, on="accession_no", how="anti").sort("filed_on", "accession_no")
    log.info("institutional_holdings: %d single filings since %s", due.height, first)
    return [
        {"key": f"filings {part[0][0]}..{part[-1][0]}", "filings": part}
        for part in base.chunks(due.select("accession_no", "cik").rows(), FILINGS_PER_BATCH)
    ]


def _indexes(run: Run, hook: SecEdgar, days: Sequence[date]) -> Iterator[pl.DataFrame]:
    """What the indexes of the days list; whole ones that are landed are not asked for. Every run reads all of them."""
    landed = run.landing.latest("sec_edgar", "daily_index", [day.isoformat() for day in days])
    here: dict[date, Landed | None] = dict.fromkeys(days)
    for answer in run.landing.read_each(landed.values()):
        day, at = date.fromisoformat(answer.key), answer.answered_at.astimezone(NEW_YORK)
        if at.date() > day or at.hour >= INDEX_READY_HOUR:
            here[day] = answer
    return (filed for _, _, filed in daily_indexes.read(run, hook, here, []))


def _plan_files(run: Run, paths: Sequence[str]) -> list[Batch]:
    found: dict[str, dict[str, int]] = {name: {} for name in ("set", "filing", "cover", "table")}
    for answer in files.read_all(paths, endpoints=files.INSTITUTIONS):
        if (kind := answer.endpoint.removeprefix("form13f_")) in found:
            found[kind][answer.key] = run.landing.put(answer)
    sets: list[Batch] = [{"key": name, "set": name, "landing_ids": [id_]} for name, id_ in found.pop("set").items()]
    return sets + _batches_of(**found)


def _batches_of(*, filing: dict[str, int], cover: dict[str, int], table: dict[str, int]) -> list[Batch]:
    """Of landings by accession number: a full submission, else the table, if it has one, and then the cover page."""
    pairs = {key: [parts[key] for parts in (table, cover) if key in parts] for key in table.keys() | cover.keys()}
    single = sorted((pairs | {key: [id_] for key, id_ in filing.items()}).items())
    return [
        {"key": f"filings {part[0][0]}..{part[-1][0]}", "landing_ids": [id_ for _, ids in part for id_ in ids]}
        for part in base.chunks(single, FILINGS_PER_BATCH)
    ]


def _parsed(answer: Landed, tables: dict[str, bytes]) -> parse.Parsed | None:
    """A filing; None for an information table, which waits in `tables` for its cover page."""
    if answer.endpoint == "form13f_table":
        tables[answer.key] = answer.content
        return None
    if answer.endpoint == "form13f_filing":
        return parse.filing(answer.content)
    header = filing_files.header_given(answer.request).filled_from(Header(accession_no=accession_in(answer.key)))
    return parse.filing(answer.content, tables.pop(answer.key, None), header=header)


def _prices(run: Run, quarters: pl.Series, cusips: pl.DataFrame) -> pl.DataFrame:
    """cusip, quarter, close: our own bars at the quarters' ends, else the closes of the fails-to-deliver files."""
    ends = quarters.unique().drop_nulls().sort().to_list()
    ours = compute.prices_of_market(db.query(run.engine, "closes_at_quarters", quarters=ends), cusips)
    names = [name for end in ends for name in _fails_around(end)]
    landed = run.landing.latest("sec_edgar", "fails_to_deliver", names)
    seen = [pl.DataFrame(schema=parse.FAILS)]
    for _, records in base.parse_each(
        run, run.landing.read_each(landed.values()), lambda a: parse.fails(a.content, a.key)
    ):
        seen.append(records)
    theirs = compute.prices_of_fails(pl.concat(seen)).filter(pl.col("quarter").is_in(ends))
    return pl.concat([ours, theirs.join(ours, on=["cusip", "quarter"], how="anti")])


def _fails_around(quarter: date) -> list[str]:
    after = quarter + timedelta(days=1)
    return [f"cnsfails{quarter:%Y%m}b", f"cnsfails{after:%Y%m}a"]


def _filings(
    run: Run, filings: pl.DataFrame, managers: pl.DataFrame, sums: pl.DataFrame, unread: pl.DataFrame
) -> pl.DataFrame:
    """institutional_filings without lineage. A data set has no acceptance times: a moment that a single filing told
    stays. unread: the problems of parsing."""
    known = db.query(run.engine, "form13f_filings_known", accession_nos=filings["accession_no"].to_list())
    filings = filings.join(known, on="accession_no", how="left", suffix="_here", maintain_order="left").with_columns(
        known_at=pl.min_horizontal("known_at", "known_at_here")
    )
    decided, doubts = compute.units(filings.drop("known_at_here"), sums)
    problems = pl.concat([unread, doubts])
    for (problem,), found in problems.group_by("problem", maintain_order=True):
        _say(str(problem), found)
    named = problems.group_by("key").agg(pl.col("problem").unique(maintain_order=True).alias("problems"))
    fields = ["included", "sequence", "manager_cik", "file_number", "manager_name"]
    listed = (
        managers.select("accession_no", manager=pl.struct(fields).struct.json_encode())
        .group_by("accession_no", maintain_order=True)
        .agg(managers=pl.format("[{}]", pl.col("manager").str.join(", ")).first())
    )
    return (
        decided.unique("accession_no", keep="first", maintain_order=True)
        .join(named, left_on="accession_no", right_on="key", how="left", maintain_order="left")
        .join(listed, on="accession_no", how="left", maintain_order="left")
        .with_columns(pl.col("problems").fill_null([]), pl.col("managers").fill_null("[]"))
    )


def _positions(holdings: pl.DataFrame, filings: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    return compute.positions(holdings, filings, named).select(HOLDINGS)


def _mapped(run: Run, accession_nos: Sequence[str], named: pl.DataFrame) -> pl.DataFrame:
    """Stored lines of these filings without a security, those that have one of `named` now."""
    lines = db.query(run.engine, "form13f_lines_to_map", accession_nos=accession_nos).drop("security_id")
    return lines.join(named, on=["cusip", "quarter"], maintain_order="left")


def _say(what: str, problems: pl.DataFrame) -> None:
    if problems.height:
        shown = "; ".join(f"{key}: {detail}" for key, detail in problems.head(10).select("key", "detail").iter_rows())
        log.warning("13F, %s, %d: %s", what, problems.height, shown)
