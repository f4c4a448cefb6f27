"""The fields of the trigger forms. Each default is what a scheduled run uses.

`dry_run` is off by default because scheduled runs take the defaults, and because a load is safe to repeat: it is
audited before it is published and changes nothing where nothing is new.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param


def tickers() -> Param:
    """Which stocks; all of them where empty."""
    return Param(
        [],
        type=["null", "array"],
        items={"type": "string", "pattern": r"^[A-Za-z0-9./\-]{1,12}$"},
        title="Tickers",
        description="One a line, for example AAPL. Empty: every security of the universe.",
    )


def full(description: str) -> Param:
    """Everything instead of what is new."""
    return Param(False, type="boolean", title="Full", description=description)


def dry_run(
    description: str = "Only plans: the vendors' lists are asked for, nothing is kept, staged or published.",
) -> Param:
    """Plan and log, publish nothing."""
    return Param(False, type="boolean", title="Dry run", description=description)


def years() -> Param:
    """How much history of statements is kept."""
    return _number(
        "Years", "Load only the last so many years of statements (5 is usual). Empty: all history.", maximum=40
    )


def session() -> Param:
    """A day of the New York Stock Exchange."""
    return _day("Session", "A New York trading day. Empty: the last one that closed.")


def sessions() -> dict[str, Param]:
    """The fields `session` and `last_session`: one trading day, or a range of them."""
    return {
        "session": _day(
            "Session", "A New York trading day, or the first day of a range. Empty: the last session that closed."
        ),
        "last_session": _day(
            "Last session", "Makes it a range: its last day, included. Weekends and holidays in it are left out."
        ),
    }


def limit() -> Param:
    """A cap, for trying things out."""
    return _number("Limit", "At most so many companies. Empty: all that are due.")


def sp500() -> Param:
    """Members of the index alone."""
    return Param(
        False,
        type="boolean",
        title="S&P 500 only",
        description="Ask only for members of the S&P 500. An empty table begins with them anyway.",
    )


def months() -> Param:
    """A window of ratings to ask for again."""
    return _number(
        "Months",
        "Ask for the last so many months again. Empty: what changed since each stock was asked for.",
        maximum=240,
    )


def news() -> dict[str, Param]:
    """The window of news: `hours` or `backfill` days; both empty, what came since the last run. `model` scores it."""
    return {
        "hours": _number("Hours", "Only the last so many hours. Empty: since each source was read last.", maximum=720),
        "backfill": _number(
            "Days to backfill",
            "Ask for the last so many days again, as far back as the vendor's plan reaches.",
            maximum=3650,
        ),
        "model": Param(
            "auto",
            type="string",
            enum=["auto", "finbert", "gemini", "lexicon"],
            values_display={
                "auto": "FinBERT where it is configured, else Gemini where it has a key, else the lexicon",
                "finbert": "FinBERT",
                "gemini": "Gemini (each article costs a request of its day)",
                "lexicon": "The lexicon",
            },
            title="Model",
            description="Who scores articles beside the vendors' own opinions. Each scores an article once.",
        ),
    }


def insiders() -> dict[str, Param]:
    """The window of ownership filings: `hours` of the feed or `backfill` days of indexes; both empty, what is new."""
    return {
        "hours": _number("Hours", "So many hours of EDGAR's feed. Empty: since the last run.", maximum=720),
        "backfill": _number(
            "Days to backfill",
            "Read the indexes of so many days, today's included. Empty: those that were not read so far.",
            maximum=7300,
        ),
    }


def quarters() -> dict[str, Param]:
    """The window of 13F: quarters by name, or the last so many."""
    return {
        "quarters": Param(
            [],
            type=["null", "array"],
            items={"type": "string", "pattern": r"^\d{4}-?[qQ][1-4]$"},
            title="Quarters",
            description="One a line, for example 2024Q3. Empty: what is new.",
        ),
        "backfill": _number(
            "Quarters to backfill", "The last so many quarters, those that are here already left out.", maximum=50
        ),
    }


def universe_source() -> Param:
    """Where the list of stocks comes from."""
    return Param(
        "sec",
        type="string",
        enum=["sec", "stocks_table"],
        values_display={"sec": "SEC and the price vendor", "stocks_table": "Our own stocks table"},
        title="Source",
        description="'Our own stocks table' reads the PostgreSQL connection named by CLOSINGBELL_STOCKS_CONN_ID.",
    )


def _number(title: str, description: str, *, maximum: int | None = None) -> Param:
    limits: dict[str, Any] = {"minimum": 1, **({"maximum": maximum} if maximum else {})}
    return Param(None, type=["null", "integer"], title=title, description=description, **limits)


def _day(title: str, description: str) -> Param:
    return Param(None, type=["null", "string"], format="date", title=title, description=description)
