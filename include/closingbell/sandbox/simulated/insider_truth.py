"""What the simulated insiders really did, from the generator's own records and not from any document.

Frames have the columns of closingbell.insider_trades and insider_activity, with `figi` in place of security_id.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from closingbell.sandbox.simulated.insiders import Insiders, Line, OwnershipFiling

TRADES: dict[str, Any] = {
    "accession_no": pl.String, "is_derivative": pl.Boolean, "row_no": pl.Int64, "form": pl.String,
    "issuer_cik": pl.Int64, "figi": pl.String, "owner_ciks": pl.List(pl.Int64), "insider_name": pl.String,
    "insider_title": pl.String, "is_director": pl.Boolean, "is_officer": pl.Boolean,
    "is_ten_percent_owner": pl.Boolean, "security_title": pl.String, "transaction_date": pl.Date,
    "transaction_code": pl.String, "acquired": pl.Boolean, "shares": pl.Float64, "price_per_share": pl.Float64,
    "shares_owned_after": pl.Float64, "direct": pl.Boolean, "is_10b5_1": pl.Boolean, "price_footnotes": pl.String,
    "filed_on": pl.Date, "known_at": pl.Datetime("us", "UTC"), "superseded_by": pl.String,
    "superseded_at": pl.Datetime("us", "UTC"),
}  # fmt: skip
ACTIVITY: dict[str, Any] = {
    "figi": pl.String, "session": pl.Date, "buys_30d": pl.Int64, "sells_30d": pl.Int64, "net_shares_30d": pl.Float64,
    "buys_90d": pl.Int64, "sells_90d": pl.Int64, "net_shares_90d": pl.Float64, "net_value_90d": pl.Float64,
    "buyers_90d": pl.Int64, "sellers_90d": pl.Int64, "unpriced_90d": pl.Int64,
}  # fmt: skip


def trades(insiders: Insiders, as_of: datetime, *, filed_from: date = date.min) -> pl.DataFrame:
    """Every line of the filings accepted by `as_of`, marked with what had superseded it by then."""
    by = _superseded(insiders, as_of)
    rows = []
    for filing in insiders.filings:
        if filing.accepted > as_of or filing.filed_on < filed_from:
            continue
        for place, (row_no, line) in enumerate(filing.rows()):
            amendment = by.get((filing.accession_no, place))
            rows.append(_row(filing, row_no, line, amendment))
    return pl.DataFrame(rows, schema=TRADES).sort("accession_no", "is_derivative", "row_no")


def activity(insiders: Insiders, session: date, closes_at: datetime, *, filed_from: date = date.min) -> pl.DataFrame:
    """Open-market buying of every listing in the 30 and 90 days up to a session, as its close knew it."""
    by = _superseded(insiders, closes_at)
    known: dict[str, list[tuple[OwnershipFiling, Line]]] = {}
    for filing in insiders.filings:
        if filing.accepted > closes_at or filing.figi is None or filing.filed_on < filed_from:
            continue
        for place, line in enumerate(filing.lines):
            counts = line.code in ("P", "S") and not line.derivative
            recent = session - timedelta(days=90) < line.day <= session
            if counts and recent and (filing.accession_no, place) not in by:
                known.setdefault(filing.figi, []).append((filing, line))
    rows = []
    for figi, found in known.items():
        row: dict[str, Any] = {"figi": figi, "session": session}
        for days in (30, 90):
            inside = [(f, line) for f, line in found if line.day > session - timedelta(days=days)]
            bought, sold = ([pair for pair in inside if pair[1].code == code] for code in ("P", "S"))
            values = [
                sum(line.shares * line.price for _, line in side if line.price is not None) for side in (bought, sold)
            ]
            priced = [not side or any(line.price is not None for _, line in side) for side in (bought, sold)]
            row |= {
                f"buys_{days}d": len(bought),
                f"sells_{days}d": len(sold),
                f"net_shares_{days}d": sum(p[1].shares for p in bought) - sum(p[1].shares for p in sold),
                f"net_value_{days}d": values[0] - values[1] if all(priced) else None,
                f"buyers_{days}d": len({f.owners[0].cik for f, _ in bought}),
                f"sellers_{days}d": len({f.owners[0].cik for f, _ in sold}),
                f"unpriced_{days}d": sum(line.price is None for _, line in inside),
            }
        rows.append({name: row[name] for name in ACTIVITY})
    return pl.DataFrame(rows, schema=ACTIVITY).sort("figi")


def _superseded(insiders: Insiders, as_of: datetime) -> dict[tuple[str, int], OwnershipFiling]:
    return {
        (filing.original.accession_no, place): filing
        for filing in insiders.filings
        if filing.original and filing.accepted <= as_of
        for place in filing.restates
    }


def _row(filing: OwnershipFiling, row_no: int, line: Line, amendment: OwnershipFiling | None) -> dict[str, Any]:
    first = filing.owners[0]
    return {
        "accession_no": filing.accession_no,
        "is_derivative": line.derivative,
        "row_no": row_no,
        "form": filing.form,
        "issuer_cik": filing.issuer_cik,
        "figi": filing.figi,
        "owner_ciks": [owner.cik for owner in filing.owners],
        "insider_name": first.name,
        "insider_title": "Chief Financial Officer" if first.title == "See Remarks" else first.title,
        "is_director": any(owner.director for owner in filing.owners),
        "is_officer": any(owner.officer for owner in filing.owners),
        "is_ten_percent_owner": any(owner.ten_percent for owner in filing.owners),
        "security_title": line.title,
        "transaction_date": line.day,
        "transaction_code": line.code,
        "acquired": line.acquired,
        "shares": line.shares,
        "price_per_share": line.price,
        "shares_owned_after": line.after,
        "direct": line.direct,
        "is_10b5_1": filing.planned,
        "price_footnotes": line.note,
        "filed_on": filing.filed_on,
        "known_at": filing.accepted,
        "superseded_by": amendment.accession_no if amendment else None,
        "superseded_at": amendment.accepted if amendment else None,
    }
