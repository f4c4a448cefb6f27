"""Quotas on a real PostgreSQL, with processes that compete. Moments are the database's clock, and only lower bounds."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from load_steps import rows
from sqlalchemy import text

from closingbell.warehouse.quota import Plan, Quota, QuotaExhausted, states

TAKER = """
import sys
from sqlalchemy import text
from closingbell.warehouse import db
from closingbell.warehouse.quota import Plan, Quota, QuotaExhausted

url, rate, limit, tries = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
engine = db.engine(url)
quota = Quota(engine, "sec_edgar", "default", Plan(rate, day_limit=limit or None))
got = 0
with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
    connection.execute(text("SELECT pg_advisory_lock_shared(1)"))  # all start at once
    for _ in range(tries):
        try:
            quota.take()
        except QuotaExhausted:
            break
        connection.execute(text("INSERT INTO taken VALUES (clock_timestamp())"))
        got += 1
print(got)
"""


def four_takers(database, rate: float, limit: int, tries: int) -> tuple[datetime, list[int]]:
    """When four processes were let go (the database's clock), and how many tokens each got."""
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE taken (at timestamptz)"))
    url = database.url.render_as_string(hide_password=False)
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as barrier:
        barrier.execute(text("SELECT pg_advisory_lock(1)"))
        takers = [
            subprocess.Popen(
                [sys.executable, "-c", TAKER, url, str(rate), str(limit), str(tries)], stdout=subprocess.PIPE, text=True
            )
            for _ in range(4)
        ]
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        while barrier.scalar(waiting) < 4 and all(taker.poll() is None for taker in takers):
            time.sleep(0.02)
        start = barrier.scalar(text("SELECT clock_timestamp()"))
        barrier.execute(text("SELECT pg_advisory_unlock(1)"))
    return start, [int(taker.communicate(timeout=120)[0]) for taker in takers]


def test_the_rate_holds_over_four_processes(database):
    """SEC's 8 requests a second are over all machines together: the k-th request is never before its slot."""
    start, got = four_takers(database, rate=40, limit=0, tries=20)
    assert got == [20] * 4
    moments = [at for (at,) in rows(database, "SELECT at FROM taken ORDER BY at")]
    assert all((at - start).total_seconds() >= number / 40 for number, at in enumerate(moments))
    ((span,),) = rows(database, "SELECT extract(epoch FROM tat - :start) FROM ops.vendor_quota", start=start)
    assert float(span) >= 80 / 40


def test_a_daily_budget_is_exact_under_concurrency(database):
    assert sum(four_takers(database, rate=10_000, limit=50, tries=40)[1]) == 50
    assert rows(database, "SELECT count(*) FROM taken") == [(50,)]


def test_a_spent_budget_says_when_it_resets_and_takes_nothing(database):
    quota = Quota(database, "polygon", "default", Plan(1000, day_limit=5, day_zone="America/New_York"))
    quota.take(4)
    with pytest.raises(
        QuotaExhausted, match=r"polygon \(default\): 4 of 5 requests of the day are spent.*resets at"
    ) as spent:
        quota.take(2)
    reset = spent.value.resets_at.astimezone(ZoneInfo("America/New_York"))
    assert (reset.hour, reset.minute) == (0, 0)
    assert quota.left()["day_left"] == 1
    quota.take()
    assert quota.left()["day_left"] == 0


def test_the_budget_is_new_on_the_vendors_next_day(database):
    quota = Quota(database, "tiingo", "default", Plan(1000, day_limit=1))
    quota.take()
    with database.begin() as connection:
        connection.execute(text("UPDATE ops.vendor_quota SET day = day - 1"))
    assert quota.left()["day_used"] == 0
    quota.take()
    assert quota.left()["day_used"] == 1


def test_a_plans_symbols_of_the_month_are_counted_once_each_and_no_more_than_allowed(database):
    """Tiingo's free plan: 500 different symbols a month, however often each is asked for (PITFALLS 27)."""
    quota = Quota(database, "tiingo", "k", Plan(1000, symbol_limit=2, day_zone="America/New_York"))
    other = Quota(database, "tiingo", "k", Plan(1000, symbol_limit=2, day_zone="America/New_York"))
    for taker, symbol in ((quota, "A"), (other, "B"), (quota, "B"), (other, "A")):
        taker.symbol(symbol)
    message = r"tiingo \(k\): 2 of 2 different symbols of the month.*C.*resets at"
    with pytest.raises(QuotaExhausted, match=message) as spent:
        quota.symbol("C")
    reset = spent.value.resets_at.astimezone(ZoneInfo("America/New_York"))
    assert (reset.day, reset.hour) == (1, 0)
    assert str(pickle.loads(pickle.dumps(spent.value))) == str(spent.value)
    quota.symbol("A")  # one that is counted goes on
    assert (quota.left()["symbols_used"], quota.left()["symbols_left"]) == (2, 0)
    with database.begin() as connection:
        connection.execute(text("UPDATE ops.vendor_quota SET month = month - interval '1 month'"))
    assert quota.left()["symbols_used"] == 0
    quota.symbol("C")
    assert quota.left()["symbols_used"] == 1


def test_a_plan_without_a_symbol_limit_counts_none(database):
    quota = Quota(database, "tiingo", "k", Plan(1000))
    quota.symbol("A")
    assert (quota.left()["symbols_used"], quota.left()["symbols_left"]) == (0, None)
    assert quota.left()["day_left"] is None


def test_a_throttle_holds_everybody_and_a_shorter_one_does_not_shorten_it(database):
    first = Quota(database, "sec_edgar", "default", Plan(8, burst=4))
    second = Quota(database, "sec_edgar", "default", Plan(8, burst=4))
    first.throttle(600)
    first.throttle(1)
    assert 590 < second.left()["wait"] <= 600
    assert [state["vendor"] for state in states(database)] == ["sec_edgar"]


def test_a_burst_is_let_through_at_once_and_no_more(database):
    quota = Quota(database, "yahoo", "default", Plan(0.01, burst=3))
    assert [quota.take() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert quota.left()["wait"] > 90  # the fourth waits for the bucket, 100 s a token


def test_a_changed_plan_takes_effect_without_giving_spent_requests_back(database):
    Quota(database, "polygon", "default", Plan(1000, day_limit=5)).take(5)
    raised = Quota(database, "polygon", "default", Plan(1000, day_limit=7))
    assert (raised.left()["day_used"], raised.left()["day_left"]) == (5, 2)


def test_a_lost_connection_is_made_again(database):
    quota = Quota(database, "polygon", "default", Plan(1000))
    quota.take()
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    quota.take()
    quota.close()
