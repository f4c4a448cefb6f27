"""The golden test on a simulated market: 40 companies through every load, and their scores once more, plainly."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

from deployment import PIPELINES, deployed
from sqlalchemy import text

from closingbell.sandbox.server import open_market
from closingbell.scores.factors import FACTORS, METRICS
from fixtures import plain_board

COMPANIES = 40
FOUR_INPUTS = (
    "insider_trades", "insider_activity", "cusips", "institutional_holdings", "institutional_ownership",
    "analyst_ratings", "analyst_consensus", "news", "news_articles", "news_sentiment", "sentiment_daily",
)  # fmt: skip


def test_every_score_of_a_simulated_session_equals_a_plain_slow_implementation(
    new_database: Any, migrated_template: str, tmp_path: Any
) -> None:
    """To 1e-9, evidence included: fixtures/plain_board.py reads whole tables and shares nothing with the engine."""
    market = open_market("simulated", seed=7, companies=COMPANIES)
    session: date = market.last_session
    for deployment in deployed(market, new_database(migrated_template), tmp_path, warmup=64):
        for name in (*PIPELINES[:-1], *FOUR_INPUTS, "scores"):
            deployment.run(name, "golden", session)
        assert plain_board.differences_of_warehouse(deployment.engine, session) == []
        inputs = deployment.inputs(session)
        with deployment.engine.connect() as connection:
            columns = ", ".join(f"count({factor.name})" for factor in FACTORS)
            scored, *present = connection.execute(
                text(f"SELECT count(*), {columns} FROM closingbell.ic_scores WHERE session = :of"), {"of": session}
            ).one()
    assert scored == len(inputs) == len(market.truth.provisional_bars(session)) >= COMPANIES - 2
    assert min(present) > scored / 2, present
    found = Counter(metric for of_share in inputs.values() for metric in of_share)
    # of 64 bars
    assert set(METRICS) - set(found) == {"return_6m", "return_12m"}
