"""Any sequence of deliveries of the same answers, in any order, some twice, ends in the same table."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from load_steps import FETCHED, bars, rows, staged
from sqlalchemy import text

from closingbell.audits import runner
from closingbell.hooks.answer import Answer
from closingbell.warehouse import load

# what three fetches of one session's bars say of four securities: corrected, confirmed, added
LANDINGS = st.lists(st.sampled_from([10.0, 11.0, 12.0]), min_size=4, max_size=4)
ANSWERS = st.lists(LANDINGS, min_size=3, max_size=3)
DELIVERIES = st.lists(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=3, unique=True), min_size=1, max_size=5)


@pytest.fixture
def no_checkpoint(monkeypatch):
    """Rows only: Great Expectations would take a minute here."""
    monkeypatch.setattr(runner, "_checkpoint", lambda *_: [])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=ANSWERS, deliveries=DELIVERIES)
def test_any_order_of_deliveries_ends_in_the_same_table(database, landing, no_checkpoint, answers, deliveries):
    with database.begin() as connection:
        connection.execute(
            text(
                "TRUNCATE closingbell.stock_prices, ops.landings, ops.published_landings, ops.stage_batches, "
                "ops.planned_batches, ops.stages, ops.load_ledger"
            )
        )
    # what the tested order left out comes at its end, so that every answer has been delivered
    missing = [n for n in range(3) if not any(n in delivery for delivery in deliveries)]
    runs = [*deliveries, *([missing] if missing else [])]
    ids = [landing.put(fetched(number)) for number in range(3)]
    for run, delivery in enumerate(runs):
        batches = {f"b{n}": bars_of(answers[n], n, ids[n]) for n in delivery}
        stage_id = staged(database, f"r{run}", batches)
        load.audit(database, stage_id)
        load.publish(database, stage_id)
    published = rows(database, "SELECT security_id, close FROM closingbell.stock_prices ORDER BY 1")
    assert published == list(enumerate(answers[2]))  # the last fetch's, whenever it came


def fetched(number: int) -> Answer:
    at = FETCHED + timedelta(minutes=number)
    return Answer(
        vendor="polygon", endpoint="grouped_daily", key="2025-12-05", request={}, body=str(number).encode(),
        content_type=None, answered_at=at, fetched_at=at,
    )  # fmt: skip


def bars_of(answer: list[float], number: int, landing_id: int):
    from polars import lit

    frame = bars(list(enumerate(answer)), landing_id=landing_id)
    return frame.with_columns(fetched_at=lit(FETCHED + timedelta(minutes=number)).cast(frame.schema["fetched_at"]))
