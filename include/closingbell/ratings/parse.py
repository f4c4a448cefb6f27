"""Benzinga's calendar of analyst ratings -> rows of `analyst_ratings`, the firm's word beside one scale of 1 to 5.

In: one page of `/api/v2.1/calendar/ratings` (JSON where asked for by `accept: application/json`, else XML), every
value a string. Out: `Parsed`, without lineage. Source: Benzinga's published reference of that endpoint.

`date` and `time` are New York's; a rating without a time (empty or 00:00:00) is held to be known at 22:00 that day, as
a filing without an acceptance time is. Targets are stored as published (`pt_current`), on the share basis of their day;
`adjusted_pt_*` change with every later split and are not stored. A word the table words.toml does not know goes to
`problems` with its row left out: it is never guessed.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree

import msgspec
import polars as pl

from closingbell.sessions import NEW_YORK
from closingbell.universe.tickers import normal_ticker

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
    "updated_at": pl.Datetime("us", "UTC"),
    "url": pl.String,
}
"""rating: the firm's own word; rating_numeric: 5 strong buy .. 1 strong sell, null where no rating was given or the
firm says it has none. action: one of ACTIONS' values. rated_at_source: time, or date_22 (no time given)."""

PROBLEMS: dict[str, Any] = {"problem": pl.String, "key": pl.String, "detail": pl.String}

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
TARGET_ACTIONS = {"announces", "maintains", "lowers", "raises", "removes", "adjusts"}
ENDING = ("terminates", "removes", "suspends", "firm_dissolved")
NO_OPINION = "no_opinion"
SCALE = {"strong_buy": 5, "buy": 4, "hold": 3, "sell": 2, "strong_sell": 1, NO_OPINION: None}
NO_TIME = ("", "00:00:00", "00:00")
WHERE = "benzinga calendar_ratings"

REQUIRED = {"id", "date", "ticker", "analyst", "action_company", "rating_current", "pt_current", "updated"}
KNOWN = {
    *REQUIRED, "time", "exchange", "name", "action_pt", "rating_prior", "pt_prior", "adjusted_pt_current",
    "adjusted_pt_prior", "analyst_name", "analyst_id", "firm_id", "currency", "importance", "notes", "url",
    "url_calendar", "url_news", "ratings_accuracy", "isin", "cusip", "logo", "quote", "ptpo", "pt_pct_change",
    "rating_change",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parsed:
    """One page: `ratings` (SCHEMA), `problems` (PROBLEMS: what was left out and why), `received` rows of the answer.

    A page of fewer than `pagesize` received rows is the last one.
    """

    ratings: pl.DataFrame
    problems: pl.DataFrame
    received: int


def parse_ratings(body: bytes) -> Parsed:
    """One page of Benzinga's ratings, JSON or XML; raises ValueError naming the column where the shape has changed."""
    rows = _xml(body) if body.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<" else _json(body)
    kept: list[dict[str, Any]] = []
    problems: list[dict[str, str]] = []
    for row in rows:
        _columns(row)
        values = {name: _text(value) for name, value in row.items()}
        try:
            kept.append(_rating(values))
        except _Refused as refused:
            problems.append({"problem": refused.problem, "key": values["id"], "detail": f"{WHERE}: {refused.detail}"})
    return Parsed(pl.DataFrame(kept, schema=SCHEMA), pl.DataFrame(problems, schema=PROBLEMS), len(rows))


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
        self.problem, self.detail = problem, detail


def _rating(row: dict[str, str]) -> dict[str, Any]:
    for name in ("id", "ticker", "analyst"):
        if not row[name]:
            raise _Refused(f"no_{name}", f"column {name} is empty in {row}")
    firm = row["analyst"]
    action = ACTIONS.get(rating_word(row["action_company"]))
    if action is None and row["action_company"]:
        raise _Refused(
            "unknown_action", f"column action_company: {row['action_company']!r} of {firm} is not in ACTIONS"
        )
    target_action = rating_word(row.get("action_pt", "")) or None
    if target_action and target_action not in TARGET_ACTIONS:
        raise _Refused("unknown_action", f"column action_pt: {row['action_pt']!r} of {firm} is not in TARGET_ACTIONS")
    rated_at, source = _rated_at(row)
    return {
        "vendor": "benzinga",
        "rating_id": row["id"],
        "ticker": normal_ticker(row["ticker"]),
        "analyst_firm": firm,
        "analyst_name": row.get("analyst_name") or None,
        "action": action,
        "target_action": target_action,
        "rating": row["rating_current"] or None,
        "rating_before": row.get("rating_prior") or None,
        "rating_numeric": _numeric(row["rating_current"], firm),
        "price_target": _target(row, "pt_current"),
        "price_target_before": _target(row, "pt_prior"),
        "currency": (row.get("currency") or "USD").upper(),
        "rated_at": rated_at,
        "rated_at_source": source,
        "updated_at": _updated_at(row["updated"]),
        "url": row.get("url_news") or row.get("url") or None,
    }


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


def _rated_at(row: dict[str, str]) -> tuple[datetime, str]:
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
    return moment, "time" if given else "date_22"


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


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError(f"{WHERE}: the XML has a DOCTYPE ({name}), which is refused; this is not Benzinga's answer")


def _xml(body: bytes) -> list[dict[str, Any]]:
    parser = ElementTree.XMLParser(target=_NoDoctype())  # noqa: S314 - without a DOCTYPE there are no entities
    try:
        parser.feed(body)
        root = parser.close()
    except ElementTree.ParseError as error:
        raise ValueError(f"{WHERE}: the XML is broken ({error}); the body was cut: fetch it again") from error
    ratings = root if root.tag == "ratings" else root.find("ratings")
    if ratings is None:
        raise ValueError(f"{WHERE}: element ratings is missing under {root.tag}; this is not the calendar's answer")
    return [_fields(item) for item in ratings]


def _fields(item: Iterable[ElementTree.Element]) -> dict[str, Any]:
    return {field.tag: ({} if len(field) else field.text) for field in item}
