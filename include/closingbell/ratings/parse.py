"""Benzinga's calendar of analyst ratings -> rows of `analyst_ratings`, the firm's word beside one scale of 1 to 5.

In: one page of `/api/v2.1/calendar/ratings` (JSON where asked for by `accept: application/json`, else XML), every
value a string. Out: `Parsed`, without lineage. Source: Benzinga's published reference of that endpoint.

`date` and `time` are New York's; a rating without a time (empty or 00:00:00) is held to be known at 22:00 that day, as
a filing without an acceptance time is. Targets are stored as published (`pt_current`), on the share basis of their day;
`adjusted_pt_*` change with every later split and are not stored. What cannot be read, a word that words.toml does not
know for instance, is named in the row's `refused`, which the audit quarantines: nothing is guessed, nothing lost.
Benzinga corrects ratings: a row is the version of `updated`, and known from then; removed ones are a list of their own.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

import msgspec
import polars as pl

from closingbell.sessions import NEW_YORK
from closingbell.shapes import read_xml
from closingbell.universe.tickers import normal_ticker

T = TypeVar("T")

SCHEMA: dict[str, Any] = {
    "vendor": pl.String,
    "rating_id": pl.String,
    "ticker": pl.String,
    "analyst_firm": pl.String,
    "analyst_name": pl.String,
    "action": pl.String,
    "target_action": pl.String,
    "rating": pl.String,
    "rating_before": pl.String,
    "rating_numeric": pl.Int64,
    "price_target": pl.Float64,
    "price_target_before": pl.Float64,
    "currency": pl.String,
    "rated_at": pl.Datetime("us", "UTC"),
    "rated_at_source": pl.String,
    "known_at": pl.Datetime("us", "UTC"),
    "updated_at": pl.Datetime("us", "UTC"),
    "url": pl.String,
    "refused": pl.String,
}
"""rating: the firm's own word; rating_numeric: 5 strong buy .. 1 strong sell, null where no rating was given or the
firm says it has none. action: one of ACTIONS' values. rated_at_source: time, or date_22 (no time given). known_at: of
this version, so never before `updated`. refused: `reason: detail` of what cannot be read, by which the audit
quarantines the row; null where all can."""

REMOVED: dict[str, Any] = {"rating_id": pl.String, "removed_at": pl.Datetime("us", "UTC")}

ACTIONS = {
    "upgrades": "upgrades",
    "downgrades": "downgrades",
    "maintains": "maintains",
    "reiterates": "reiterates",
    "reinstates": "reinstates",
    "assumes": "assumes",
    "initiates coverage on": "initiates",
    "initiates": "initiates",
    "terminates coverage on": "terminates",
    "removes": "removes",
    "suspends": "suspends",
    "firm dissolved": "firm_dissolved",
}
TARGET_ACTIONS = {word: word for word in ("announces", "maintains", "lowers", "raises", "removes", "adjusts")}
ENDING = ("terminates", "removes", "suspends", "firm_dissolved")
NO_OPINION = "no_opinion"
SCALE = {"strong_buy": 5, "buy": 4, "hold": 3, "sell": 2, "strong_sell": 1, NO_OPINION: None}
CENTS = {"GBp": "GBX", "ILa": "ILX", "ZAc": "ZAX"}
"""Currencies of a hundredth, which vendors tell from the whole one by a small letter."""
NO_TIME = ("", "00:00:00", "00:00")
WHERE = "benzinga calendar_ratings"
WHERE_REMOVED = "benzinga calendar_removed"

REQUIRED = {"id", "date", "ticker", "analyst", "action_company", "rating_current", "pt_current", "updated"}
KNOWN = {
    *REQUIRED, "time", "exchange", "name", "action_pt", "rating_prior", "pt_prior", "adjusted_pt_current",
    "adjusted_pt_prior", "analyst_name", "analyst_id", "firm_id", "currency", "importance", "notes", "url",
    "url_calendar", "url_news", "ratings_accuracy", "isin", "cusip", "logo", "quote", "ptpo", "pt_pct_change",
    "rating_change",
}  # fmt: skip


def parse_ratings(body: bytes) -> pl.DataFrame:
    """One page of Benzinga's ratings, JSON or XML: SCHEMA. Raises ValueError naming the column whose shape changed."""
    rows = _xml(body) if body.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<" else _json(body)
    kept: list[dict[str, Any]] = []
    for row in rows:
        _columns(row)
        kept.append(_rating({name: _text(value) for name, value in row.items()}))
    return pl.DataFrame(kept, schema=SCHEMA)


def parse_removed(body: bytes, *, seen_at: datetime) -> pl.DataFrame:
    """One page of `/api/v2.1/calendar-removed/`: the ratings that Benzinga withdrew, REMOVED; other types are out.

    `updated` may be 0, as in Benzinga's own example: such a removal is known from `seen_at`, when it was asked for.
    """
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"{WHERE_REMOVED}: the body is no JSON ({error}); fetch it again") from error
    rows = [] if answer == [] else answer.get("removed") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{WHERE_REMOVED}: column removed is missing or no list of objects; it begins {body[:100]!r}")
    found = []
    for row in rows:
        if missing := {"id", "type", "updated"} - row.keys():
            raise ValueError(f"{WHERE_REMOVED}: column {', '.join(sorted(missing))} is missing; it has {sorted(row)}")
        if row["type"] == "ratings":
            try:
                removed_at = _updated_at(str(row["updated"])) if row["updated"] else seen_at
                found.append({"rating_id": str(row["id"]), "removed_at": removed_at})
            except _Refused as error:
                raise ValueError(f"{WHERE_REMOVED}: {error}") from None
    return pl.DataFrame(found, schema=REMOVED)


def rating_word(word: str) -> str:
    """A firm's word as the table writes it: lower case, one space between words."""
    return " ".join(re.sub(r"[-‐‑‒–—_/]+", " ", word).lower().split())


@lru_cache(maxsize=1)
def rating_words() -> dict[str, int | None]:
    """words.toml: word -> 5 .. 1, None where the firm says it has no opinion; a word listed twice is a ValueError."""
    table = tomllib.loads((files("closingbell.ratings") / "words.toml").read_text("utf-8"))
    if set(table) != set(SCALE):
        raise ValueError(f"ratings/words.toml: sections {sorted(table)}; they must be {sorted(SCALE)}")
    words: dict[str, int | None] = {}
    for section, entry in table.items():
        for word in entry["words"]:
            if word in words or word != rating_word(word):
                raise ValueError(f"ratings/words.toml: {word!r} under {section} is listed twice or not in lower case")
            words[word] = SCALE[section]
    return words


class _Refused(ValueError):
    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


def _rating(row: dict[str, str]) -> dict[str, Any]:
    refused: list[str] = []

    def read(field: Callable[..., T], *args: Any) -> T | None:
        try:
            return field(*args)
        except _Refused as error:
            refused.append(f"{error.problem}: {error}")
            return None

    firm = row["analyst"]
    rated = read(_rated_at, row)
    updated_at = read(_updated_at, row["updated"])
    return {
        "vendor": "benzinga",
        "rating_id": row["id"] or None,
        "ticker": normal_ticker(row["ticker"]) or None,
        "analyst_firm": firm or None,
        "analyst_name": row.get("analyst_name") or None,
        "action": read(_action, row, "action_company", ACTIONS),
        "target_action": read(_action, row, "action_pt", TARGET_ACTIONS),
        "rating": row["rating_current"] or None,
        "rating_before": row.get("rating_prior") or None,
        "rating_numeric": read(_numeric, row["rating_current"], firm),
        "price_target": read(_target, row, "pt_current"),
        "price_target_before": read(_target, row, "pt_prior"),
        "currency": CENTS.get(currency := row.get("currency") or "USD", currency.upper()),
        "rated_at": rated.at if rated else None,
        "rated_at_source": rated.source if rated else None,
        "known_at": _known_at(rated, updated_at) if rated and updated_at else None,
        "updated_at": updated_at,
        "url": row.get("url_news") or row.get("url") or None,
        "refused": "; ".join(refused) or None,
    }


def _action(row: dict[str, str], name: str, known: dict[str, str]) -> str | None:
    if not row.get(name):
        return None
    try:
        return known[rating_word(row[name])]
    except KeyError:
        raise _Refused("unknown_action", f"column {name}: {row[name]!r} of {row['analyst']} is not known") from None


def _numeric(word: str, firm: str) -> int | None:
    if not word:
        return None
    try:
        return rating_words()[rating_word(word)]
    except KeyError:
        raise _Refused(
            "unknown_word",
            f"column rating_current: {firm} rates {word!r}, which ratings/words.toml does not know; "
            "add it to one of its lists and replay",
        ) from None


def _target(row: dict[str, str], name: str) -> float | None:
    text = row.get(name, "").replace(",", "").lstrip("$")
    if not text:
        return None
    try:
        target = float(text)
    except ValueError:
        raise _Refused("not_a_number", f"column {name}: {row[name]!r}") from None
    if not math.isfinite(target) or target < 0:
        raise _Refused("not_a_number", f"column {name}: {row[name]!r}")
    return target or None  # Benzinga writes 0.00 for a target that was not given


class _Rated(NamedTuple):
    at: datetime
    source: str
    day_began: datetime


def _rated_at(row: dict[str, str]) -> _Rated:
    clock = row.get("time", "")
    given = clock not in NO_TIME
    try:
        day = date.fromisoformat(row["date"])
        local = datetime.combine(day, time.fromisoformat(clock) if given else time(22), NEW_YORK)
    except ValueError as error:
        raise _Refused("no_such_time", f"columns date and time: {row['date']!r} {clock!r}: {error}") from None
    moment = local.astimezone(UTC)
    if moment.astimezone(NEW_YORK).replace(fold=0) != local.replace(fold=0):
        raise _Refused("no_such_time", f"columns date and time: New York skipped {row['date']} {clock}")
    began = datetime.combine(day, time(0), NEW_YORK).astimezone(UTC)
    return _Rated(moment, "time" if given else "date_22", began)


def _known_at(rated: _Rated, updated_at: datetime) -> datetime:
    """Not before the vendor's last change; without a time, that change on or after its day is the evidence."""
    if rated.source == "time":
        return max(rated.at, updated_at)
    return updated_at if updated_at >= rated.day_began else rated.at


def _updated_at(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise _Refused("no_such_time", f"column updated: {text!r} is no Unix time in seconds") from None


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()


def _columns(row: dict[str, Any]) -> None:
    if missing := REQUIRED - row.keys():
        raise ValueError(f"{WHERE}: column {', '.join(sorted(missing))} is missing; it has {sorted(row)}")
    if unknown := row.keys() - KNOWN:
        raise ValueError(f"{WHERE}: column {', '.join(sorted(unknown))} is unknown; say in the parser what it means")


def _json(body: bytes) -> list[dict[str, Any]]:
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"{WHERE}: the body is neither JSON nor XML ({error}); fetch it again") from error
    if answer == []:  # what the calendar answers where nothing matches
        return []
    rows = answer.get("ratings") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{WHERE}: column ratings is missing or no list of objects; it begins {body[:100]!r}")
    return rows


def _xml(body: bytes) -> list[dict[str, Any]]:
    root = read_xml(body, what=f"{WHERE}: the body")
    ratings = root if root.tag == "ratings" else root.find("ratings")
    if ratings is None:
        raise ValueError(f"{WHERE}: element ratings is missing under {root.tag}; this is not the calendar's answer")
    return [_fields(item) for item in ratings]


def _fields(item: Iterable[Any]) -> dict[str, Any]:
    return {field.tag: ({} if len(field) else field.text) for field in item}
