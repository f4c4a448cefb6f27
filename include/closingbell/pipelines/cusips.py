"""SEC's fails-to-deliver files -> cusip_history: which security a CUSIP stood for from which day on.

Every run reads all files that are landed, so that a ticker learned late, or an older file, corrects what follows from
it. Asked for are those since the first quarter of 13F wanted that are not here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta

import polars as pl

from closingbell.hooks import open_hook
from closingbell.hooks.errors import NotFound
from closingbell.institutions import catalog, compute, parse
from closingbell.pipelines import base, files
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.sessions import NEW_YORK
from closingbell.warehouse import db, failures

log = logging.getLogger(__name__)

FIRST_QUARTERS = 4  # that a table begins with, even after a run over fewer
BEFORE_QUARTER = timedelta(days=45)  # a CUSIP that failed to deliver nowhere in a quarter's last weeks is found earlier


def plan(run: Run) -> list[Batch]:
    """One batch: the files to ask for (`files`: name and path)."""
    if paths := run.params.get("from_files"):
        for answer in files.read_all(paths, endpoints=files.INSTITUTIONS):
            if answer.endpoint == "fails_to_deliver":
                run.landing.put(answer)
        return [{"key": "files", "files": []}] if run.landing.latest("sec_edgar", "fails_to_deliver") else []
    asked = "sec_edgar", "fails_to_deliver_files", "all"
    try:
        with closing(open_hook("sec_edgar", run.engine)) as hook:
            page = hook.fails_to_deliver_files()
    except NotFound as error:  # SEC moved it: holdings need not wait for that
        log.warning("%s; CUSIPs stay as they are", error)
        failures.record(run.engine, *asked, str(error), run.dag_id, run.run_id)
        return []
    failures.resolve(run.engine, *asked)
    listed = catalog.fails_files(run.landing.read(run.landing.put(page)).content)
    unread = failures.pending(run.engine, "sec_edgar", "fails_to_deliver")
    here = set(run.landing.latest("sec_edgar", "fails_to_deliver")) - set(unread)
    quarters = wanted_quarters(run, page.answered_at.astimezone(NEW_YORK).date())
    days = [quarter - BEFORE_QUARTER for quarter in quarters]
    days += listed.filter(pl.col("name").is_in(here))["first"].to_list()
    wanted = listed.filter(pl.col("last") >= min(days), ~pl.col("name").is_in(here))
    log.info("cusip_history: %d files to ask for, %d are here", wanted.height, len(here))
    return [{"key": f"since {min(days)}", "files": wanted.select("name", "path").rows()}]


def land(run: Run, batch: Batch) -> Batch:
    """The files that are missing, and the ids of all that are here."""
    paths = dict(batch["files"])
    if paths:
        with closing(open_hook("sec_edgar", run.engine)) as hook:
            base.land_each(
                run, "fails_to_deliver", "sec_edgar", paths, lambda key: hook.fails_to_deliver(key, paths[key])
            )
    here = run.landing.latest("sec_edgar", "fails_to_deliver")
    return batch | {"landing_ids": [here[key] for key in sorted(here)]}


def frames(run: Run, landed: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """cusip_history of all landed files."""
    seen = [pl.DataFrame(schema=parse.FAILS | base.LINEAGE)]
    answers = run.landing.read_each(landed["landing_ids"])
    for answer, records in base.parse_each(run, answers, lambda a: parse.fails(a.content, a.key)):
        seen.append(base.with_lineage(compute.first_sightings(records), answer))
    sightings = pl.concat(seen).sort("fetched_at", "landing_id").unique(["cusip", "settled_on"], keep="last")
    history = compute.cusip_history(sightings.drop(*base.LINEAGE), db.query(run.engine, "ticker_history"))
    log.info(
        "cusip_history: %d CUSIPs, %d of them with a security",
        history["cusip"].n_unique(),
        history.filter(pl.col("security_id").is_not_null())["cusip"].n_unique(),
    )
    lineage = sightings.select("cusip", pl.col("settled_on").alias("valid_from"), *base.LINEAGE)
    yield "cusip_history", history.join(lineage, on=["cusip", "valid_from"])


def replay(run: Run) -> list[Batch]:
    """One batch of the newest answer of every file."""
    here = run.landing.latest("sec_edgar", "fails_to_deliver")
    return [{"key": "all", "files": [], "landing_ids": [here[key] for key in sorted(here)]}] if here else []


LOAD = Load(name="cusips", tables=("cusip_history",), plan=plan, land=land, frames=frames, replay=replay, whole=True)


def wanted_quarters(run: Run, today: date) -> list[date]:
    """Last days of the quarters that a run is asked for by name, or backfills; else of the last four."""
    if named := run.params.get("quarters"):
        return sorted({catalog.quarter_end(str(quarter)) for quarter in named})
    return catalog.last_quarters(today, int(run.params.get("backfill") or FIRST_QUARTERS))
