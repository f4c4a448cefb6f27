"""MODE=live without a paid key, from `make demo` to a board: the vendors are played on this machine, behind the
operator's own connections, since no test asks the real ones.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from closingbell import connections, demo, stack
from closingbell.sandbox.market import Market
from closingbell.sandbox.server import Sandbox, running
from closingbell.settings import settings
from closingbell.stack import checks, keys, record
from closingbell.warehouse import db

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

KEYLESS = ("SEC_EDGAR", "YAHOO", "REFERENCE", "WEB")


@pytest.fixture
def market() -> Iterator[Market]:
    """A simulated market behind AIRFLOW_CONN_<ID>, and a stack folder of this test."""
    folder = Path(tempfile.mkdtemp(prefix="cb-e2e-"))
    market = Market(seed=7, companies=20)
    with running(Sandbox(market, mode="simulated")) as address, pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "ROOT", folder)
        patch.setattr(keys, "dotenv", lambda: dict(os.environ))
        for name in (*sum(keys.KEYS.values(), ()), *(f"AIRFLOW_CONN_{vendor.upper()}" for vendor in keys.KEYS)):
            patch.delenv(name, raising=False)
        for name in ("CLOSINGBELL_DATABASE_URL", "CLOSINGBELL_PRICE_VENDOR", "CLOSINGBELL_TICKERS"):
            patch.delenv(name, raising=False)
        played = connections.environment(address, contact="operator@closing-bell.test")
        for conn_id in KEYLESS:
            patch.setenv(f"AIRFLOW_CONN_{conn_id}", played[f"AIRFLOW_CONN_{conn_id}"])
        patch.setenv("CLOSINGBELL_MARKET_ENDS_ON", str(market.last_session))
        patch.setenv("CLOSINGBELL_WARMUP_SESSIONS", "60")
        patch.setenv("CLOSINGBELL_YAHOO_CACHE", str(folder / "yahoo"))
        settings.cache_clear()
        yield market
        stack.down(print)
    settings.cache_clear()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.soak
def test_live_without_a_key_comes_to_a_board_and_goes_on_by_itself(market: Market) -> None:
    session = str(market.last_session)
    listed = [row["T"] for row in market.grouped_daily(market.last_session, market.default_clock)]
    filers = {row["ticker"] for row in market.company_tickers(market.default_clock).values()}
    tickers = sorted(filers.intersection(listed))[:4]
    spec = stack.spec(mode="live", port=checks.free_port(), tickers=tickers)
    state = stack.up(spec, print)
    board = demo.demo(state, session=session, tickers=[], say=print)
    assert all(ticker in board for ticker in tickers), board
    with db.engine(state.warehouse_url()).connect() as connection:
        vendors = connection.scalars(text("SELECT DISTINCT vendor FROM ops.landings")).all()
        charts = connection.scalars(
            text("SELECT DISTINCT split_part(key, ':', 1) FROM ops.landings WHERE endpoint = 'chart'")
        ).all()
        scored = connection.scalar(text("SELECT count(*) FROM closingbell.ic_scores"))
    assert sorted(vendors) == ["reference", "sec_edgar", "yahoo"]
    # the runs had no Param: it is the stack's own list that keeps them, and the scheduled ones, to these
    assert sorted(charts) == tickers
    assert scored == len(tickers)
    paused = {dag_id: dag["is_paused"] for dag_id, dag in state.airflow().dags().items()}
    assert not [dag_id for dag_id in (*demo.DAGS, "reconcile") if paused[dag_id]]
