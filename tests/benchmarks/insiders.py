"""Ownership documents to rows, against edgartools on the same files, in one process.

The baseline is edgartools' parse of a document and its frame of transactions and holdings, without its question to SEC
whether an owner is a company (one request an owner). Documents are the recordings', else the simulated market's.
Imports are excluded; of each the best of the same number of rounds counts.
"""

from __future__ import annotations

import json
import os
import time
from datetime import date
from pathlib import Path
from typing import Any

from closingbell.settings import REPOSITORY

BUDGET = 3.0
ROUNDS = 3
SIMULATED = 300


def measure() -> list[dict[str, Any]]:
    """One row {name, value, baseline, ratio, budget, holds}; documents a second of both."""
    kind, bodies = _bodies()
    _ours(bodies[:5])
    _theirs(bodies[:5])
    value = len(bodies) / min(_seconds(_ours, bodies) for _ in range(ROUNDS))
    baseline = len(bodies) / min(_seconds(_theirs, bodies) for _ in range(ROUNDS))
    ratio = value / baseline
    return [
        {
            "name": f"ownership documents to rows, {len(bodies)} {kind} documents, a second, against edgartools",
            "value": round(value, 1),
            "baseline": round(baseline, 1),
            "ratio": round(ratio, 1),
            "budget": f">= {BUDGET:g}",
            "holds": ratio >= BUDGET,
        }
    ]


def _bodies() -> tuple[str, list[bytes]]:
    folder = Path(os.environ.get("CLOSINGBELL_RECORDINGS") or REPOSITORY.parent / "shared/realdata")
    paths = sorted(folder.glob("www.sec.gov/ownership/*.xml"))
    if paths:
        return "recorded", [path.read_bytes() for path in paths]
    from closingbell.edgar import submission_documents
    from closingbell.sandbox.market import Market

    market = Market(companies=25)
    numbers = [filing.accession_no for filing in market.insiders.filings if filing.accepted <= market.default_clock]
    texts = (market.ownership(number, market.default_clock) or "" for number in numbers[-SIMULATED:])
    return "simulated", [submission_documents(text.encode())[0] for text in texts]


def _ours(bodies: list[bytes]) -> None:
    from closingbell.edgar import Header
    from closingbell.insiders import parse

    parsed = parse.ownership(
        parse.Document(body=body, header=Header(accession_no=f"0000000000-26-{n:06d}", filed_on=date(2026, 8, 1)))
        for n, body in enumerate(bodies)
    )
    assert parsed.documents.height == len(bodies), parsed.problems


def _theirs(bodies: list[bytes]) -> None:
    from edgar.ownership import Ownership, owners

    owners.Entity = lambda cik: None  # type: ignore[assignment,misc]
    for body in bodies:
        Ownership.from_xml(body.decode()).to_dataframe()


def _seconds(work: Any, bodies: list[bytes]) -> float:
    started = time.perf_counter()
    work(bodies)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
