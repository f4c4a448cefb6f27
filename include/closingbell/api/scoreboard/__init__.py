"""The scoreboard: server-rendered pages of the API's own application, for a browser that is signed in.

Their one script fetches the same pages and puts them in place, so that all but the charts works without it. Nothing is
loaded from another host: the policy of every page says so.
"""

from __future__ import annotations

import gzip
import hashlib
import math
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from closingbell.api.answers import base
from closingbell.scores.board import HEADINGS
from closingbell.scores.factors import FACTORS
from closingbell.sessions import NEW_YORK
from closingbell.settings import settings

PREFIX = "/scoreboard"
COOKIE = "closingbell_key"
PACKED_FROM = 1024  # bytes
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
"""BokehJS and the pages have their styles inline; nothing else is."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie, X-API-Key, Authorization",
}
_FAILURES = {404: "Nothing to show", 422: "That cannot be shown", 429: "Too many requests"}
_SHORT = {"eps", "fcf", "macd", "roa", "roe", "rsi"}
_SPANS = {"d": "day", "m": "month"}
_PERCENT = {
    "earnings_yield", "book_yield", "sales_yield", "revenue_growth", "eps_growth", "fcf_growth", "gross_margin",
    "operating_margin", "net_margin", "roe", "roa", "return_1m", "return_3m", "return_6m", "return_12m",
    "target_upside", "insider_buying_30d", "insider_buying_90d", "institutional_share", "institutional_change",
    "macd_histogram",
}  # fmt: skip
_COUNTS = {"analyst_firms", "insider_buyers", "institutional_holders"}
"""How the value of a metric is written; of another with two digits."""
_TITLES = {"analyst_consensus": "Analysts", "insider_activity": "Insiders", "news_sentiment": "News"}


def root(request: Request) -> str:
    """The path under which the pages stand here."""
    return f"{request.scope.get('root_path', '')}{PREFIX}"


def is_page(request: Request) -> bool:
    """Whether a page of the scoreboard was asked for, and not the API."""
    return f"{request.url.path}/".startswith(f"{root(request)}/")


def page(
    request: Request, template: str, *, status: int = 200, headers: dict[str, str] | None = None, **facts: Any
) -> Response:
    """The page, or 304 where the asker has it; it is asked for again each time, as a publish may change it."""
    facts = {
        "root": root(request),
        "api": base(request),
        "path": request.url.path,
        "signed_in": COOKIE in request.cookies and request.app.state.sign_in,
        "simulated": settings().simulated,
        "script": static_url(request, "scoreboard.js"),
        "style": _text("scoreboard.css"),
    } | facts
    body = _environment().get_template(template).render(**facts).encode()
    etag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = _HEADERS | getattr(request.state, "headers", {}) | (headers or {})
    if status == 200:
        headers |= {"ETag": etag, "Cache-Control": "private, no-cache"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
    else:
        headers |= {"Cache-Control": "no-store"}
    return packed(request, body, status=status, headers=headers, media_type="text/html")


def packed(request: Request, body: bytes, *, media_type: str, headers: dict[str, str], status: int = 200) -> Response:
    """The answer, compressed for who takes that: a board is a tenth of its length then."""
    headers = headers | {"Vary": f"{_HEADERS['Vary']}, Accept-Encoding"}
    if len(body) > PACKED_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers = gzip.compress(body, 4), headers | {"Content-Encoding": "gzip"}
    return Response(body, status, headers=headers, media_type=media_type)


def failure(request: Request, status: int, title: str, detail: str, headers: dict[str, str]) -> Response:
    """An error as a page; where a key is missing, with the form that takes one."""
    asks = status == 401 and request.app.state.sign_in
    title = _FAILURES.get(status, title)
    return page(
        request,
        "sign_in.html" if asks else "failure.html",
        status=status,
        headers=headers,
        signed_in=False,
        title=title,
        detail=detail.replace("_", " ") if status == 422 else detail,
        following=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
    )


# -- files ------------------------------------------------------------------------------------------------------------


def static_url(request: Request, name: str) -> str:
    """Where a file stands; another version of it stands elsewhere, so that it may be kept."""
    return f"{root(request)}/static/{_file(name)[2]}/{name}"


def static(request: Request, name: str) -> Response | None:
    """One of the two files that pages load; None for another."""
    if name not in _FILES:
        return None
    body, packed, _ = _file(name)
    headers = _HEADERS | {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers = packed, headers | {"Content-Encoding": "gzip"}
    return Response(body, headers=headers, media_type="text/javascript")


def _bokeh() -> Path:
    import bokeh

    return Path(bokeh.__file__).parent / "server/static/js/bokeh.min.js"


_FILES = {"scoreboard.js": lambda: Path(__file__).parent / "scoreboard.js", "bokeh.min.js": _bokeh}


@lru_cache(maxsize=4)
def _file(name: str) -> tuple[bytes, bytes, str]:
    body = _FILES[name]().read_bytes()
    return body, gzip.compress(body, 6), hashlib.blake2b(body, digest_size=6).hexdigest()


@lru_cache(maxsize=1)
def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text()


# -- words ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("closingbell.api", "scoreboard"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "title_of": title_of, "number": number, "money": money, "at": at, "query": query, "heat": heat, "slug": slug,
        "ago": ago, "value_of": value_of, "written": written,
    }  # fmt: skip
    environment.globals |= {"FACTORS": FACTORS, "HEADINGS": HEADINGS}
    return environment


def title_of(name: str) -> str:
    """A factor's, metric's or table's name as a reader sees it."""
    if name in _TITLES:
        return _TITLES[name]
    words = [word.upper() if word in _SHORT else word for word in name.split("_")]
    if (span := words[-1])[:-1].isdigit() and span[-1] in _SPANS:  # of days or months
        count = span[:-1]
        words[-2:] = [f"{words[-2]},", count, _SPANS[span[-1]] + "s" * (count != "1")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def value_of(value: float | None, metric: str) -> str:
    """A metric's value as a reader sees it: a percentage, a count, or a ratio; two digits at least of a small one."""
    if metric in _COUNTS or not value:
        return number(value, ",.0f")
    scaled, unit = (value * 100, "%") if metric in _PERCENT else (value, "")
    digits = max(2, 1 - math.floor(math.log10(abs(scaled))))
    return number(scaled, f",.{min(digits, 9)}f") + unit


def slug(name: str) -> str:
    """A rating or confidence as a CSS class."""
    return name.lower().replace(" ", "-")


def number(value: float | None, form: str = ",.1f") -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else format(value, form).replace("-", "−")


def money(value: float | None, currency: str = "USD") -> str:
    """An amount, in words of thousands: $3.1B, and 3.1B of another currency, which stands beside it."""
    if value is None:
        return "–"
    sign, value = ("−" if value < 0 else "") + ("$" if currency == "USD" else ""), abs(value)
    for least, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "K")):
        if value >= least * 0.99995:
            return f"{sign}{value / (1e3 if unit == 'K' else least):,.{1 if unit == 'K' else 2}f}{unit}"
    return f"{sign}{value:,.2f}"


def written(value: float | None, form: str, currency: str) -> str:
    """A figure of a statement: money, a share, a percent or a ratio."""
    if value is None or form == "money":
        return money(value, currency)
    return f"{number(value * 100)}%" if form == "percent" else number(value, ",.2f")


def at(moment: datetime | None) -> str:
    """A moment, in New York, where its day is that of the session."""
    if moment is None:
        return "–"
    return f"{moment.astimezone(NEW_YORK):%Y-%m-%d %H:%M} ET"


def ago(seconds: float) -> str:
    """How long since, in the largest unit that there is two of."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now"


def heat(score: float | None) -> str:
    """The CSS class of a percentile's colour: one of ten, or none."""
    return "" if score is None else f"h{min(int(score // 10), 9)}"


def query(asked: dict[str, Any], **changed: Any) -> str:
    """?what was asked, with some of it changed; what is empty is left out."""
    given = {name: value for name, value in (asked | changed).items() if value not in (None, "")}
    return f"?{urlencode(given)}" if given else "?"
