"""News of the vendors and of web pages -> news_sightings; sightings of one story -> news_members, news_articles.

A stream is a vendor, one symbol of Marketaux, or a page of news/sources.toml. A batch that was read to its end leaves
its window (`read` of the landed batch); a stream is read on from the first moment of its windows that none covers, six
hours over (stories come late), and a new one from 30 days back. So what a narrow run, a spent budget or a plan without
news left out is asked for by the next run. Where Marketaux has more of a symbol than its plan's pages hold, the window
begins with the oldest story that came: what is left is asked for later, the newest first, and of a small plan with the
requests that the symbols' new stories leave over. What cannot be read is recorded under its stream's name and the
others go on: an answer that its parser refuses leaves no window, so that the next run asks again.

A copy stays as it was told first: a story that its vendor rewrites or dates anew after the close must not change what
the close knew. What a later answer adds (a ticker, an opinion) counts from that answer.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl

from closingbell.connections import configured
from closingbell.hooks import allowance, open_hook
from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import AuthFailed, VendorError
from closingbell.landing import Landed
from closingbell.news import compute, pages, parse
from closingbell.pipelines import base, files
from closingbell.pipelines.base import Batch, Load, Run
from closingbell.sessions import NEW_YORK
from closingbell.settings import settings
from closingbell.warehouse import db, failures
from closingbell.warehouse import load as warehouse
from closingbell.warehouse.quota import QuotaExhausted
from closingbell.warehouse.tables import shape

log = logging.getLogger(__name__)

FIRST_DAYS = 30
OVERLAP = timedelta(hours=6)
DAYS_PER_BATCH = 10
FILES_PER_BATCH = 100
BYTES_PER_BATCH = 64 << 20  # of the rows of a batch that are in memory at once; a larger file has a batch to itself
SYMBOLS_PER_BATCH = 50
FEW = 20  # stories a page: fewer are a small plan's
MOST_SYMBOLS = 500  # asked for one by one in a run, where the plan has no day budget
ENDPOINTS = (
    ("polygon", "news"), ("marketaux", "news"), ("tiingo", "news"), ("web", "page"), ("fnspid", "csv"),
)  # fmt: skip
KEY = ["vendor", "vendor_id"]
SIGHTINGS: dict[str, Any] = parse.SIGHTINGS | {
    "opinions": pl.String,
    "late_tickers": pl.String,
    "first_seen_at": pl.Datetime("us", "UTC"),
}
TO_UNIFY: dict[str, Any] = parse.SIGHTINGS | {
    "first_seen_at": pl.Datetime("us", "UTC"),
    "article_id": pl.Int64,
    "read_at": pl.Datetime("us", "UTC"),
}
MEMBERS: dict[str, Any] = compute.MEMBERS | {"read_at": pl.Datetime("us", "UTC")}


def plan(run: Run) -> list[Batch]:
    """A batch for each vendor and five days, and for each web source; or the landed files."""
    if paths := run.params.get("from_files"):
        return _plan_files(run, paths)
    now = now_of(run)
    streams = _streams(run)
    if not streams:
        raise ValueError(
            "news: no stream: make the connection polygon, tiingo or marketaux with its key, or the connection web"
        )
    read_to = db.query(run.engine, "news_read_to", since=now - timedelta(days=FIRST_DAYS))
    marks = dict(read_to.iter_rows())
    batches: list[Batch] = []
    for stream in streams:
        vendor, _, source = stream.partition(":")
        if vendor == "web":
            batches.append({"key": f"web {source}", "vendor": vendor, "source": source})
        elif vendor == "marketaux":
            batches += [
                {"key": f"marketaux {what} {part[0][0]}..{part[-1][0]}", "vendor": vendor, "symbols": dict(part)}
                for what, asked in _symbols(run, now).items()
                for part in base.chunks(list(asked.items()), SYMBOLS_PER_BATCH)
            ]
        else:
            first = _first(run, marks.get(stream), now)
            batches += [
                {"key": f"{vendor} {a:%Y-%m-%dT%H:%M}", "vendor": vendor, "first": _iso(a)}
                | ({"last": _iso(b)} if b < now else {"to": _iso(now)})
                for a, b in pairwise(_steps(first, now))
            ]
    for batch in batches:
        batch["streams"], batch["now"] = streams, _iso(now)
    return batches


def land(run: Run, batch: Batch) -> Batch:
    """The stream's answers. One that its plan lacks, whose budget is spent or whose page fails leaves the others."""
    if "landing_ids" in batch:
        return batch
    ids: list[int] = []
    read: dict[str, tuple[str, str]] = {}
    if batch["vendor"] == "web":
        source = next(source for source in pages.sources() if source.name == batch["source"])
        with closing(open_hook("web", run.engine, host=source.host)) as hook:
            try:
                ids += base.land_each(run, "page", "web", [source.name], lambda _: hook.page(source)).values()
            except VendorError as error:  # recorded under the source's name
                log.error("%s; the other sources go on", error)
        return batch | {"landing_ids": ids}
    unread: list[ValueError] = []
    with closing(open_hook(batch["vendor"], run.engine)) as hook:
        try:
            for stream, window, answers in _questions(hook, batch, run.params.get("tickers") or ()):
                name = stream or batch["vendor"]
                try:
                    landed, whole = _landed(run, answers, window)
                except ValueError as error:
                    log.error("%s: %s; the other streams go on", name, error)
                    failures.record(run.engine, batch["vendor"], "news", name, str(error), run.dag_id, run.run_id)
                    unread.append(error)
                    continue
                ids += landed
                if stream:
                    read[stream] = whole
                    # not where another window of the stream failed in this run
                    failures.resolve(run.engine, batch["vendor"], "news", stream, besides_run=run.run_id)
        except AuthFailed as error:
            if len(batch["streams"]) == 1:
                raise
            log.error("news goes without %s: %s", batch["vendor"], error)
        except QuotaExhausted as error:
            if not ids and len(batch["streams"]) == 1:
                raise
            log.warning("%s; what is left is asked for by the next run", error)
    if unread and not ids and len(batch["streams"]) == 1:
        raise unread[0]
    return batch | {"landing_ids": ids, "read": read}


def frames(run: Run, landed: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """news_sightings of one landed batch; a story that lacks what a story needs is quarantined with its reason."""
    rows: list[pl.DataFrame] = []
    refused: list[pl.DataFrame] = []
    answers = run.landing.read_each(landed["landing_ids"])
    for answer, parsed in base.parse_each(run, answers, parse_answer):
        rows.append(
            base.with_lineage(_with_opinions(parsed), answer).with_columns(answered_at=pl.lit(answer.answered_at))
        )
        refused.append(base.with_lineage(_refused(parsed, answer), answer))
        log.info("%s %s: %d of %d stories", answer.vendor, answer.key, parsed.sightings.height, parsed.received)
    found = _as_first_told(run, rows, replay=bool(landed.get("replay")))
    yield "news_sightings", pl.concat([found.with_columns(refused=pl.lit(None, pl.String)), *refused], how="diagonal")


def expected(run: Run, batches: Sequence[Batch]) -> dict[str, dict[str, Any]]:
    """The vendors' clock of a run that asks them: what comes after it reckons from there."""
    now = max((batch["now"] for batch in batches if "now" in batch), default=None)
    return {"news_sightings": {"now": now}} if now else {}


def replay(run: Run) -> list[Batch]:
    """Every landed answer with news, oldest first."""
    ids = [landing_id for vendor, endpoint in ENDPOINTS for landing_id in run.landing.history(vendor, endpoint)]
    ids = sorted(ids)
    return [
        {"key": f"answers {part[0]}-{part[-1]}", "landing_ids": part, "replay": True} for part in base.chunks(ids, 50)
    ]


LOAD = Load(
    name="news", tables=("news_sightings",), plan=plan, land=land, frames=frames, replay=replay, expected=expected
)


# -- one story, one article --


def plan_articles(run: Run) -> list[Batch]:
    """One batch: copies of one story may have come in any of the answers."""
    return [{"key": "new copies"}]


def article_frames(run: Run, batch: Batch) -> Iterator[tuple[str, pl.DataFrame]]:
    """news_members and news_articles of every story that a new copy touches; of a replay all, united anew."""
    anew = batch.get("all", False)
    copies = db.query(run.engine, "news_to_unify", all=anew).cast(pl.Schema(TO_UNIFY))
    if anew:
        copies = copies.with_columns(article_id=pl.lit(None, pl.Int64))
    articles, members = compute.unify(copies.drop("read_at"))
    log.info("news: %d copies tell %d stories", copies.height, articles.height)
    read = copies.select("vendor", "vendor_id", "read_at")
    yield "news_members", members.join(read, on=["vendor", "vendor_id"], how="left").select(list(MEMBERS))
    yield "news_articles", articles


ARTICLES_LOAD = Load(
    name="news_articles",
    tables=("news_articles", "news_members"),  # a copy that has an article is not looked at again
    plan=plan_articles,
    land=lambda run, batch: batch,
    frames=article_frames,
    replay=lambda run: [{"key": "every copy", "all": True}],
)


def now_of(run: Run) -> datetime:
    """The vendors' clock, UTC: that of the first that is configured; ours where none is."""
    for vendor in ("polygon", "tiingo"):
        if configured(vendor):
            try:
                with closing(open_hook(vendor, run.engine)) as hook:
                    return hook.now()
            except (VendorError, QuotaExhausted) as error:
                log.warning("%s; the time is taken from elsewhere", error)
    return datetime.now(UTC)


def parse_answer(answer: Landed) -> parse.Parsed:
    """The stories of one landed answer; raises ValueError where it is not of its shape."""
    match answer.vendor:
        case "polygon":
            return parse.polygon_news(answer.content)
        case "marketaux":
            return parse.marketaux_news(answer.content)
        case "tiingo":
            return parse.tiingo_news(answer.content)
        case "fnspid":
            return parse.fnspid_csv(answer.content, ticker=answer.key if _is_ticker(answer.key) else None)
    source = next((source for source in pages.sources() if source.name == answer.key), None)
    if source is None:
        raise ValueError(f"web {answer.key}: no source of news/sources.toml has this name any more")
    return pages.page_news(answer.content, source, seen_at=answer.answered_at)


def _streams(run: Run) -> list[str]:
    found = [vendor for vendor in ("polygon", "marketaux", "tiingo") if configured(vendor)]
    if configured("web") and not run.params.get("tickers"):
        found += [f"web:{source.name}" for source in pages.sources()]
    return found


def _first(run: Run, mark: datetime | None, now: datetime) -> datetime:
    """From when a stream is read."""
    if hours := run.params.get("hours"):
        return now - timedelta(hours=float(hours))
    if days := run.params.get("backfill"):
        return now - timedelta(days=int(days))
    if run.params.get("full") or run.params.get("tickers") or mark is None:
        return now - timedelta(days=FIRST_DAYS)
    return min(mark, now) - OVERLAP


def _steps(first: datetime, now: datetime) -> list[datetime]:
    steps = [first]
    while steps[-1] + timedelta(days=DAYS_PER_BATCH) < now:
        steps.append(steps[-1] + timedelta(days=DAYS_PER_BATCH))
    return [*steps, now]


def _symbols(run: Run, now: datetime) -> dict[str, dict[str, tuple[str, str | None]]]:
    """Whom the vendor of targeted news is asked for, and from when to when: `new` stories, and those that were `left`.

    A small plan's day gives this run so many requests. A run of a window asks for its own alone.
    """
    from closingbell.connections import resolve
    from closingbell.hooks.marketaux import STORIES

    tickers = run.params.get("tickers") or settings().only_tickers or None
    plan = resolve("marketaux").extra.get("plan")
    budget = allowance("marketaux", plan).day_limit
    most = max(1, budget * settings().news_hours // 24) if budget else MOST_SYMBOLS
    today, since = now.astimezone(NEW_YORK).date(), now - timedelta(days=FIRST_DAYS)
    found = db.query(run.engine, "news_symbols", session=today, tickers=tickers, since=since, most=most).to_dicts()
    asked: dict[str, dict[str, tuple[str, str | None]]] = {
        "new": {row["ticker"]: (_iso(_first(run, row["until"], now)), None) for row in found}
    }
    if not any(run.params.get(name) for name in ("hours", "backfill", "tickers", "full")):
        left = [row for row in found if row["left_to"]]
        left = left[: most - len(found)] if STORIES[plan or "free"] < FEW else left
        asked["left"] = {row["ticker"]: (_iso(row["left_from"]), _iso(row["left_to"])) for row in left}
    return asked


def _questions(
    hook: Any, batch: Batch, tickers: Sequence[str]
) -> Iterator[tuple[str, tuple[str, str], Iterable[Answer]]]:
    """(the stream that the answers are of, none where tickers narrow them; the window asked for; the answers)."""
    if batch["vendor"] == "marketaux":
        few = hook.stories < FEW  # of a small plan one page each, so that more companies have their turn
        for symbol, (since, before) in batch["symbols"].items():
            asked = datetime.fromisoformat(since), datetime.fromisoformat(before) if before else None
            answers = hook.news(symbol, *asked, **({"pages": 1} if few else {}))
            yield f"marketaux:{symbol}", (since, before or batch["now"]), answers
        return
    window = batch["first"], batch.get("last") or batch["to"]
    first, end = map(datetime.fromisoformat, window)
    stream = "" if tickers else batch["vendor"]
    if batch["vendor"] == "polygon":
        for ticker in tickers or (None,):
            yield stream, window, hook.news(first, end if "last" in batch else None, ticker)
    else:
        # a day may end for the vendor where it begins: the last one is asked for with its morrow
        yield stream, window, hook.news(first.date(), end.date() + timedelta(days="to" in batch), tickers)


def _landed(run: Run, answers: Iterable[Answer], window: tuple[str, str]) -> tuple[list[int], tuple[str, str]]:
    """The landing ids of the answers to one question, and the part of the window that they hold whole.

    Raises ValueError where one of them is not of its shape.
    """
    ids = [run.landing.put(answer) for answer in answers]
    since = parse.whole_from(parse_answer(answer) for answer in run.landing.read_each(ids))
    return ids, (_iso(since) if since else window[0], window[1])


def _with_opinions(parsed: parse.Parsed) -> pl.DataFrame:
    """The sightings, each with the vendor's opinions as JSON, known when it was published."""
    said: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in parsed.opinions.iter_rows(named=True):
        said.setdefault((row.pop("vendor"), row.pop("vendor_id")), []).append(row)
    texts = [
        json.dumps([opinion | {"known_at": published.isoformat()} for opinion in said.get((vendor, vendor_id), ())])
        for vendor, vendor_id, published in parsed.sightings.select(*KEY, "published_at").iter_rows()
    ]
    return parsed.sightings.with_columns(pl.Series("opinions", texts, pl.String))


def _refused(parsed: parse.Parsed, answer: Landed) -> pl.DataFrame:
    """The stories that cannot be, as rows that the audit quarantines under their reason."""
    return parsed.problems.select(
        vendor=pl.lit(answer.vendor),
        vendor_id=pl.concat_str("key", pl.lit(" "), "problem"),
        refused=pl.concat_str("problem", pl.lit(": "), "detail"),
    ).unique("vendor_id", maintain_order=True)


def _as_first_told(run: Run, frames: Sequence[pl.DataFrame], *, replay: bool) -> pl.DataFrame:
    """Each copy of the frames once: as it was first told here, with what later answers added.

    First in these frames, in the warehouse, or, of a replay, in the batches before.
    """
    schema = SIGHTINGS | base.LINEAGE
    rows = pl.concat(
        [frame.match_to_schema(schema | {"answered_at": schema["fetched_at"]}, missing_columns="insert")
         for frame in frames] or [pl.DataFrame(schema=schema | {"answered_at": schema["fetched_at"]})]
    ).sort("fetched_at", "landing_id").with_columns(first_seen_at=pl.col("fetched_at"))  # fmt: skip
    before: dict[tuple[str, str], dict[str, Any]] = {}
    for (vendor,), of in rows.group_by("vendor"):
        for part in base.chunks(of["vendor_id"].unique().to_list(), 20_000):
            before |= {(vendor, row["vendor_id"]): row for row in _told_before(run, vendor, part, replay=replay)}
    known = pl.DataFrame(list(before), schema={name: pl.String for name in KEY}, orient="row").with_columns(told=True)
    again = rows.join(known, on=KEY, how="left", maintain_order="left").with_columns(
        again=pl.col("told").fill_null(False) | (pl.len().over(KEY) > 1)
    )
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for row in again.filter("again").select(rows.columns).iter_rows(named=True):
        key = row["vendor"], row["vendor_id"]
        first = merged.get(key) or before.get(key)
        merged[key] = _joined(first, row) if first else row
    once = again.filter(~pl.col("again"))
    return pl.concat(
        [
            once.select(list(schema)),
            pl.DataFrame([{name: row[name] for name in schema} for row in merged.values()], schema),
        ]
    )


def _joined(first: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """A copy as it was told first, with what a later answer adds, known when that came.

    Of a replay `first` may hold no more than when it was seen.
    """
    seen = {"first_seen_at": min(first["first_seen_at"], later["first_seen_at"])}
    if "title" not in first:
        return later | seen
    opinions: list[dict[str, Any]] = json.loads(first["opinions"])
    heard = {(opinion["ticker"], opinion["model"]) for opinion in opinions}
    heard_at = max(first["published_at"], later["answered_at"]).isoformat()
    more = [
        opinion | {"known_at": heard_at}
        for opinion in json.loads(later["opinions"])
        if (opinion["ticker"], opinion["model"]) not in heard
    ]
    added: dict[str, Any] = {"tickers": sorted({*first["tickers"], *later["tickers"]})}
    added |= {"opinions": json.dumps(opinions + more)} if more else {}
    late = dict.fromkeys(sorted({*later["tickers"]} - {*first["tickers"]}), heard_at)
    added |= {"late_tickers": json.dumps(json.loads(first["late_tickers"] or "{}") | late)} if late else {}
    lineage = {} if added.items() <= first.items() else {name: later[name] for name in base.LINEAGE}
    return first | seen | added | lineage


def _told_before(run: Run, vendor: Any, ids: list[str], *, replay: bool) -> list[dict[str, Any]]:
    """The copies as they were told; a replay reads all answers again and takes from the table only when they came."""
    stored = db.query(run.engine, "news_told", vendor=vendor, ids=ids)
    if not replay:
        return stored.to_dicts()
    seen = {row["vendor_id"]: row for row in stored.select("vendor_id", "first_seen_at").iter_rows(named=True)}
    with run.engine.connect() as connection, db.cursor_of(connection) as cursor:
        stage_id = warehouse.stage_id(run.dag_id, run.run_id, "news_sightings")
        fragments = shape(connection, "news_sightings").fragments(stage_id)
        db.run(cursor, "news_told_staged", fragments, vendor=vendor, ids=ids)
        names = [column.name for column in cursor.description or ()]
        return list((seen | {row[1]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}).values())


def _plan_files(run: Run, paths: Iterable[str]) -> list[Batch]:
    wanted = ("news", "csv")
    parts: list[list[int]] = []
    size = 0
    for answer in files.read_all(paths, endpoints=wanted):
        size += len(answer.body)  # type: ignore[arg-type]
        if not parts or len(parts[-1]) == FILES_PER_BATCH or size > BYTES_PER_BATCH:
            parts.append([])
            size = len(answer.body)  # type: ignore[arg-type]
        parts[-1].append(run.landing.put(answer))
    if not parts:
        raise files.UnknownFile(f"--from-files {' '.join(paths)}: no news among them")
    return [{"key": f"files {part[0]}-{part[-1]}", "landing_ids": part} for part in parts]


def _is_ticker(key: str) -> bool:
    return bool(re.fullmatch(r"[A-Z][A-Z0-9.\-]{0,9}", key))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()
