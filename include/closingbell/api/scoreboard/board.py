"""The board as a page: which rows a reader asked for, and in which order.

In: rows of api_board_rows.sql. Out: some of them.
"""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from closingbell.api.models import SORTS, Confidence, Day, Sector
from closingbell.scores.compute import RATINGS
from closingbell.scores.factors import FACTORS

PAGE = 100  # rows
RATING_NAMES = (*(name for _, name in RATINGS), "Sell")
WORDS = ("ticker", "company_name", "sector", "confidence")
BOARD_SORTS = (*SORTS, *WORDS, "change")

COLUMNS = (
    "session", "place", "ticker", "company_name", "security_id", "sector", "sector_assumed", "overall_score", "change",
    "rating", *(factor.name for factor in FACTORS), "sector_rank", "sector_size", "sector_percentile", "confidence",
    "data_completeness", "known_at",
)  # fmt: skip
"""Of the download."""


def _known_sort(name: str) -> str:
    if name not in BOARD_SORTS:
        raise ValueError(f"sort by one of {', '.join(BOARD_SORTS)}")
    return name


class Wanted(BaseModel):
    """What a reader asks of the board; what a form leaves empty is not asked."""

    session: Day | None = None
    sector: Sector | None = None
    rating: Literal["Strong Buy", "Buy", "Hold", "Underperform", "Sell"] | None = None
    confidence: Confidence | None = None
    min_score: float | None = Field(None, ge=0, le=100)
    q: str = Field("", max_length=80)
    sort: Annotated[str, AfterValidator(_known_sort)] = "overall_score"
    order: Literal["best", "worst"] = "best"
    page: int = Field(1, ge=1, le=1000)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value != ""} if isinstance(given, dict) else given

    def descending(self, column: str) -> bool:
        """Whether the largest comes first; of words A is best."""
        return (self.order == "best") != (column in WORDS)

    def asked(self) -> dict[str, Any]:
        """What differs from asking nothing, for a link to the same."""
        return self.model_dump(exclude_defaults=True)


def chosen(rows: list[dict[str, Any]], wanted: Wanted) -> list[dict[str, Any]]:
    """The rows that meet the conditions, with `change`, in the order asked for; rows without the value come last."""
    words = wanted.q.casefold().split()
    found = []
    for row in rows:
        if (
            wanted.sector not in (None, row["sector"])
            or wanted.rating not in (None, row["rating"])
            or wanted.confidence not in (None, row["confidence"])
            or (wanted.min_score is not None and row["overall_score"] < wanted.min_score)
        ):
            continue
        name = f"{row['ticker'] or ''} {row['company_name'] or ''}".casefold()
        if all(word in name for word in words):
            before = row["score_before"]
            found.append(row | {"change": None if before is None else round(row["overall_score"] - before, 2)})
    present = [row for row in found if row[wanted.sort] is not None]
    # equal ones stay as they were, best first
    present.sort(key=lambda row: _key(row[wanted.sort]), reverse=wanted.descending(wanted.sort))
    return present + [row for row in found if row[wanted.sort] is None]


def _key(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV (RFC 4180). A text that a spreadsheet would take for a formula begins with an apostrophe."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[column]) for column in COLUMNS] for row in rows)
    return written.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        return f"'{value}"
    return value.isoformat() if hasattr(value, "isoformat") else value
