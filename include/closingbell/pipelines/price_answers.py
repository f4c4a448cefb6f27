"""Landed answers with bars or corporate actions: which parser reads each endpoint, and when an answer is final."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from closingbell.landing import Landed
from closingbell.prices import parse
from closingbell.sessions import NEW_YORK


def is_final(session: date, answered_at: datetime) -> bool:
    """Whether an answer of that moment is past the vendor's corrections: 07:00 New York on the day after."""
    return answered_at >= datetime.combine(session + timedelta(days=1), time(7), NEW_YORK)


def parse_answer(answer: Landed) -> parse.Parsed:
    """The parser of the answer's endpoint; raises ValueError where the answer is not what its key says."""
    body, on = answer.content, answer.answered_at.astimezone(NEW_YORK).date()
    asked = answer.key if answer.request.get("method") != "file" else None  # a file's key is its name
    match answer.endpoint:
        case "grouped_daily":
            session = date.fromisoformat(asked) if asked else None
            return parse.polygon_grouped_daily(body, answered_on=on, session=session)
        case "day_aggregates":
            return parse.polygon_day_aggregates(body)
        case "splits":
            return parse.polygon_splits(body)
        case "dividends":
            return parse.polygon_dividends(body)
        case "daily_all":
            return parse.tiingo_daily(body, session=date.fromisoformat(asked) if asked else None)
        case "daily_prices":
            return parse.tiingo_daily(body, ticker=answer.key.split(":")[0])
        case "chart":
            ticker, _, last = answer.key.partition(":")
            asked_to = date.fromisoformat(last.rpartition(":")[2]) if last else None
            return parse.yahoo_chart(body, answered_on=on, asked_to=asked_to, ticker=ticker)
        case "bars_csv":
            return parse.bars_csv(body, ticker=answer.key)
    raise ValueError(f"{answer.vendor} {answer.endpoint}: no answer with bars")
