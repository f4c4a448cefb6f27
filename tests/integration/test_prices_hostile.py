"""What a vendor should never send is quarantined by a rule or refused; the rest of the answer is published."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from load_steps import rows
from sqlalchemy import text

from closingbell.hooks.answer import Answer
from closingbell.pipelines import LOADS, base
from closingbell.pipelines.base import Run
from closingbell.sessions import close_of

SESSION = date(2025, 12, 4)
GOOD = 150


@pytest.fixture
def publish(database, landing):
    """Publishes one grouped answer of Polygon; the first 150 tickers are good shares, the others what is given."""
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.securities (security_id, name, type, fetched_at) "
                "SELECT n, 'S' || n, 'CS', now() FROM generate_series(1, 199) n"
            )
        )
        connection.execute(
            text(
                "INSERT INTO closingbell.ticker_history (ticker, valid_from, security_id, fetched_at) "
                "SELECT 'S' || n, '2020-01-02', n, now() FROM generate_series(1, 199) n"
            )
        )

    def run(*bad: dict, **envelope):
        moment = int(close_of(SESSION).timestamp() * 1000)
        good = {"o": 10.0, "h": 11.0, "l": 9.0, "c": 10.5, "v": 1000, "vw": 10.2, "n": 5, "t": moment}
        results = [{"T": f"S{number}", **good} for number in range(1, GOOD + 1)]
        results += [{**good, **row} for row in bad]
        body = {"adjusted": False, "queryCount": len(results), "resultsCount": len(results), "status": "OK"}
        at = datetime(2025, 12, 5, 15, tzinfo=UTC)
        landing_id = landing.put(
            Answer(
                vendor="polygon", endpoint="grouped_daily", key=SESSION.isoformat(), request={"method": "GET"},
                body=json.dumps({**body, "results": results, **envelope}).encode(), content_type=None,
                answered_at=at, fetched_at=at,
            )
        )  # fmt: skip
        load = LOADS["prices"]
        asked = Run(dag_id="prices", run_id="r", partition_key=SESSION.isoformat(), engine=database, landing=landing)
        batch = {"key": "one", "landing_ids": [landing_id], "sessions": [SESSION.isoformat()]}
        base.open_stages(load, asked, [batch])
        base.stage(load, asked, batch)
        base.audit(load, asked)
        return base.publish(load, asked)["stock_prices"]

    return run


def test_impossible_bars_are_quarantined_by_name_and_a_day_of_zero_volume_is_a_bar(publish, database):
    counts = publish(
        {"T": "S161", "c": float("nan")},
        {"T": "S162", "l": -9.0},
        {"T": "S163", "h": 8.0},
        {"T": "S164"}, {"T": "S164", "c": 9.5},
        {"T": "S165", "v": 0},
    )  # fmt: skip
    assert (counts["inserted"], counts["quarantined"]) == (GOOD + 1, 5)
    found = rows(database, "SELECT rule, content ->> 'security_id' FROM ops.quarantine ORDER BY 2, 1")
    assert found == [
        ("missing:close", "161"), ("prices_positive", "162"), ("high_is_highest", "163"),
        ("conflicting_key", "164"), ("conflicting_key", "164"),
    ]  # fmt: skip
    assert rows(database, "SELECT volume FROM closingbell.stock_prices WHERE security_id = 165") == [(0.0,)]


@pytest.mark.parametrize(
    ("envelope", "bad", "said"),
    [
        ({"resultsCount": 7}, {"T": "S161"}, "151 results where it counts resultsCount 7"),
        (
            {},
            {"T": "S161", "t": int(close_of(date(2025, 12, 3)).timestamp() * 1000)},
            "this is not the session's answer",
        ),
    ],
)
def test_an_answer_that_contradicts_itself_is_refused_whole_and_recorded(publish, database, envelope, bad, said):
    with pytest.raises(base.warehouse.AuditFailed, match=rf"sessions_complete.*{SESSION}"):
        publish(bad, **envelope)
    assert said in rows(database, "SELECT error FROM ops.fetch_failures")[0][0]
    assert rows(database, "SELECT count(*) FROM closingbell.stock_prices") == [(0,)]
