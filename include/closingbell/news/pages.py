"""Web pages and feeds -> sightings, by the selectors that sources.toml declares.

In: the untouched bytes of one page and its source's declaration. Out: `parse.Parsed`, vendor `web`. A page is hostile:
one above MAX_BYTES or MAX_TAGS is refused before anything parses it, one nested deeper than MAX_DEPTH or with more than
MAX_STORIES before a selector walks it, a feed with a DOCTYPE as well, and a story may link to its source's declared
host only. A page whose declared selectors match nothing has changed: an error that names it.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import urljoin, urlsplit
from zoneinfo import ZoneInfo

import msgspec

from closingbell.news.parse import Collector, Parsed, Refused, canonical_url
from closingbell.shapes import read_xml

MAX_BYTES = 4_000_000
MAX_TAGS = 30_000
MAX_DEPTH = 200
MAX_STORIES = 500
ATOM = "{http://www.w3.org/2005/Atom}"


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One page of sources.toml; the file says what each field means."""

    name: str
    publisher: str
    url: str
    kind: str
    time: str
    zone: str
    tickers: str
    item: str = ""
    title: str = ""
    link: str = ""
    published: str = ""
    summary: str = ""
    today: str = ""
    links: str = ""

    @property
    def host(self) -> str:
        """The only host that the source's page may be on, and its stories where it declares no `links`."""
        return urlsplit(self.url).hostname or ""


@lru_cache(maxsize=1)
def sources() -> tuple[Source, ...]:
    """The declared sources; raises ValueError naming the entry that is wrong."""
    return read_sources((files("closingbell.news") / "sources.toml").read_text("utf-8"))


def read_sources(text: str) -> tuple[Source, ...]:
    """The sources of a declaration in the form of sources.toml."""
    declared = tomllib.loads(text)
    try:
        found = msgspec.convert(declared["source"], tuple[Source, ...])
    except (KeyError, msgspec.ValidationError) as error:
        raise ValueError(f"news/sources.toml: {error}") from error
    for source in found:
        wanted = ("item", "title", "link", "published") if source.kind == "html" else ()
        if source.kind not in ("rss", "html") or not all(getattr(source, name) for name in wanted):
            raise ValueError(f"news/sources.toml: {source.name}: kind is rss or html, and html declares {wanted}")
    if len({source.name for source in found}) != len(found):
        raise ValueError("news/sources.toml: two sources have one name")
    return found


def page_news(body: bytes, source: Source, *, seen_at: datetime) -> Parsed:
    """The stories of one page as it was at `seen_at` (UTC). Raises ValueError naming the source."""
    where = f"web {source.name}"
    if len(body) > MAX_BYTES:
        raise ValueError(f"{where}: the page has {len(body):,} bytes, more than {MAX_BYTES:,}; it is refused unread")
    if (tags := body.count(b"<")) > MAX_TAGS:
        raise ValueError(f"{where}: the page has {tags:,} tags, more than {MAX_TAGS:,}; it is refused unread")
    collector = Collector("web", where)
    stories = _feed(body, where) if source.kind == "rss" else _html(body, source, where)
    for story in stories:
        _add(collector, story, source, seen_at)
    if collector.received == 0:
        raise ValueError(f"{where}: nothing matches what news/sources.toml declares; the page has changed: adjust it")
    if not collector.sightings:
        first = collector.problems[0]["detail"]
        raise ValueError(
            f"{where}: none of its {collector.received} stories is whole; the page has changed: adjust "
            f"news/sources.toml. The first: {first}"
        )
    return collector.parsed()


def _add(collector: Collector, story: dict[str, str], source: Source, seen_at: datetime) -> None:
    link = urljoin(source.url, story["link"]) if story["link"] else ""
    try:
        moment = _moment(story["published"], source, seen_at)
        address = canonical_url(link)
        if urlsplit(address).hostname != (source.links or source.host):
            raise Refused("other_host", f"column url: {address[:200]!r} is not on {source.links or source.host}")
    except Refused as refused:
        collector.received += 1
        collector.refuse(refused.problem, link or story["title"], str(refused))
        return
    text = " ".join((story["title"], story["summary"], story.get("categories", "")))
    collector.add(
        vendor_id=f"{source.name}:{hashlib.blake2b(address.encode(), digest_size=12).hexdigest()}",
        url=address,
        title=story["title"],
        summary=story["summary"],
        source=source.publisher,
        published_at=moment,
        tickers=re.findall(source.tickers, text[:20_000]),
    )


def _moment(text: str, source: Source, seen_at: datetime) -> datetime:
    zone = ZoneInfo(source.zone)
    try:
        if source.time == "rfc822":
            moment = parsedate_to_datetime(text)
        elif source.time == "iso":
            moment = datetime.fromisoformat(text)
        elif source.today and (today := _parsed(text, source.today)):
            day = seen_at.astimezone(zone).date()
            moment = datetime.combine(day, today.time(), zone)
            if moment > seen_at:  # a page made before midnight
                moment = datetime.combine(day - timedelta(days=1), today.time(), zone)
        else:
            moment = datetime.strptime(text, source.time)  # noqa: DTZ007 - the zone is the source's
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone, fold=1)  # of an hour that comes twice the later: not known too early
        return moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise Refused("no_such_time", f"column published: {text[:60]!r} is not {source.time}: {error}") from None


def _parsed(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is the source's
    except ValueError:
        return None


def _html(body: bytes, source: Source, where: str) -> Iterator[dict[str, str]]:
    from bs4 import BeautifulSoup

    page = BeautifulSoup(body, "lxml")
    _shallow(page, where)
    items = page.select(source.item, limit=MAX_STORIES + 1)
    if len(items) > MAX_STORIES:
        raise ValueError(f"{where}: more than {MAX_STORIES} stories on one page; adjust item in news/sources.toml")
    inside = {id(item) for item in items}
    for item in items:
        if any(id(parent) in inside for parent in item.parents):
            continue  # a part of a story that is already one
        story = {name: _pick(item, getattr(source, name)) for name in ("title", "link", "published", "summary")}
        if not any(story.values()):
            continue
        # a heading that holds its own date: the date is not part of the title
        if story["published"] and story["title"].startswith(story["published"]):
            story["title"] = story["title"].removeprefix(story["published"]).strip()
        yield story


def _shallow(page: Any, where: str) -> None:
    level, depth = [page], 0
    while level:
        if depth > MAX_DEPTH:
            raise ValueError(f"{where}: the page is nested deeper than {MAX_DEPTH}; it is refused")
        level = [child for element in level for child in element.children if child.name]
        depth += 1


def _pick(item: Any, selector: str) -> str:
    if not selector:
        return ""
    css, _, attribute = selector.partition("@")
    found = item.select_one(css) if css else item
    if found is None:
        return ""
    value = found.get(attribute) if attribute else found.get_text(" ")
    return " ".join(value.split()) if isinstance(value, str) else ""


def _feed(body: bytes, where: str) -> Iterator[dict[str, str]]:
    root = read_xml(body, what=f"{where}: the feed")
    for item in [*root.iter("item"), *root.iter(f"{ATOM}entry")]:
        atom = item.tag.startswith(ATOM)
        prefix = ATOM if atom else ""
        link = item.find(f"{prefix}link")
        yield {
            "title": item.findtext(f"{prefix}title", ""),
            "link": (link.get("href", "") if atom else link.text or "").strip() if link is not None else "",
            "published": (
                item.findtext(f"{ATOM}published", "") or item.findtext(f"{ATOM}updated", "")
                if atom
                else item.findtext("pubDate", "")
            ).strip(),
            "summary": _without_tags(item.findtext(f"{prefix}summary" if atom else "description", "")),
            "categories": " ".join(text for each in item.iter(f"{prefix}category") if (text := each.text)),
        }


def _without_tags(text: str) -> str:
    return re.sub(r"<[^<>]*>", " ", text[:50_000])
