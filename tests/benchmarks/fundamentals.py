"""Company facts files to all their statement rows, against edgartools on the same files, in one process.

The baseline is edgartools' parse of each file and its quarterly income statement, balance sheet and cash flow: fewer
rows than ours, which are every quarter, year and TTM as known on each filing day. Files are the recordings', else the
simulated market's. Imports are excluded; of each the best of the same number of rounds counts.
"""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

from closingbell.settings import REPOSITORY

BUDGET = 10.0
QUARTERS = 40
ROUNDS = 2
SIMULATED = 40


def measure() -> list[dict[str, Any]]:
    """One row {name, value, baseline, ratio, budget, holds}; files a second of both."""
    kind, bodies = _bodies()
    _ours(bodies[:2])
    _theirs(bodies[:1])
    value = len(bodies) / min(_seconds(_ours, bodies) for _ in range(ROUNDS))
    baseline = len(bodies) / min(_seconds(_theirs, bodies) for _ in range(ROUNDS))
    ratio = value / baseline
    return [
        {
            "name": f"company facts to statement rows, {len(bodies)} {kind} files, files a second, against edgartools",
            "value": round(value, 2),
            "baseline": round(baseline, 2),
            "ratio": round(ratio, 1),
            "budget": f">= {BUDGET:g}",
            "holds": ratio >= BUDGET,
        }
    ]


def _bodies() -> tuple[str, list[bytes]]:
    folder = Path(os.environ.get("CLOSINGBELL_RECORDINGS") or REPOSITORY.parent / "shared/realdata")
    paths = sorted(folder.glob("data.sec.gov/api/xbrl/companyfacts/CIK*.json.gz"))
    if paths:
        return "recorded", [gzip.decompress(path.read_bytes()) for path in paths]
    from closingbell.sandbox.market import Market

    market = Market(companies=SIMULATED)
    return "simulated", [json.dumps(market.companyfacts(cik, market.default_clock)).encode() for cik in market.ciks]


def _ours(bodies: list[bytes]) -> None:
    import polars as pl

    from closingbell.fundamentals import compute, filings, parse

    facts = pl.concat([parse.companyfacts(body) for body in bodies])
    compute.statements(parse.with_known_at(facts, pl.DataFrame(schema=filings.SCHEMA)))


def _theirs(bodies: list[bytes]) -> None:
    from edgar.entity.parser import EntityFactsParser

    for body in bodies:
        facts = EntityFactsParser.parse_company_facts(json.loads(body))
        facts.income_statement(periods=QUARTERS, annual=False, as_dataframe=True)
        facts.balance_sheet(periods=QUARTERS, period="quarterly", as_dataframe=True)
        facts.cash_flow(periods=QUARTERS, annual=False, as_dataframe=True)


def _seconds(work: Any, bodies: list[bytes]) -> float:
    started = time.perf_counter()
    work(bodies)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
