"""SIGKILL of a worker mid-stage or mid-publish, of PostgreSQL between the two: a retry ends in the same tables."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from load_steps import bars, closes, rows, staged, staging_tables
from sqlalchemy import Engine

from closingbell import postgres
from closingbell.audits import runner
from closingbell.warehouse import db, load

CLOSES = [(security_id, 10.0 + security_id) for security_id in range(1, 2001)]

# does one step of run r1 and stops forever, without committing, where its last SQL statement is done
WORKER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from closingbell.warehouse import db, load, publish, stage
from load_steps import bars, staged

def stop(*_):
    print("reached", flush=True)
    time.sleep(600)

engine = db.engine(sys.argv[2])
if sys.argv[3] == "stage":
    copy = stage._copy
    stage._copy = lambda *given: (copy(*given), stop())
    staged(engine, "r1", {"a": bars([(i, 10.0 + i) for i in range(1, 2001)])})
else:
    publish.drop_table = stop
    load.publish(engine, load.stage_id("market_close", "r1", "stock_prices"))
"""


def killed(engine: Engine, step: str) -> None:
    """Run one step in a process of its own and SIGKILL it before it commits."""
    url = engine.url.render_as_string(hide_password=False)
    here = str(Path(__file__).parent)
    worker = subprocess.Popen([sys.executable, "-c", WORKER, here, url, step], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "reached\n"
    worker.send_signal(signal.SIGKILL)
    worker.wait()


@pytest.fixture(autouse=True)
def no_checkpoint(monkeypatch):
    """These tests are about rows that survive, not about expectations."""
    monkeypatch.setattr(runner, "_checkpoint", lambda *_: [])


def test_a_worker_killed_mid_stage_leaves_nothing_and_the_retry_stages_once(database):
    killed(database, "stage")
    assert rows(database, "SELECT count(*) FROM ops.stage_batches") == [(0,)]
    stage_id = staged(database, "r1", {"a": bars(CLOSES)})
    load.audit(database, stage_id)
    assert load.publish(database, stage_id).rows_inserted == len(CLOSES)
    assert closes(database) == dict(CLOSES)


def test_a_worker_killed_mid_publish_leaves_the_table_as_it_was_and_the_retry_publishes_once(database):
    load.audit(database, first := staged(database, "r0", {"a": bars([(1, 5.0), (9999, 5.0)], landing_id=0)}))
    load.publish(database, first)
    load.audit(database, stage_id := staged(database, "r1", {"a": bars(CLOSES)}))
    killed(database, "publish")
    assert closes(database) == {1: 5.0, 9999: 5.0}
    assert rows(database, "SELECT count(*) FROM ops.revisions") == [(0,)]
    published = load.publish(database, stage_id)
    assert (published.rows_inserted, published.rows_updated) == (len(CLOSES) - 1, 1)
    assert closes(database) == {**dict(CLOSES), 9999: 5.0}
    assert rows(database, "SELECT count(*) FROM ops.revisions") == [(1,)]
    assert staging_tables(database) == []


@pytest.fixture
def own_server():
    """A server that may be killed: its data directory."""
    folder = Path(tempfile.mkdtemp(prefix="closingbell-crash-"))
    changes = {"shared_buffers": "32MB", "fsync": "off"}
    postgres.start(folder / "pg", changes=changes)
    yield folder / "pg"
    postgres.stop(folder / "pg")
    shutil.rmtree(folder, ignore_errors=True)


def kill_postgres(data_dir: Path) -> None:
    """SIGKILL of the server and all its processes, then a start, which recovers."""
    number = postgres.pid(data_dir)
    assert number is not None
    server = psutil.Process(number)
    for process in [server, *server.children()]:
        os.kill(process.pid, signal.SIGKILL)
    while postgres.pid(data_dir) is not None:  # a busy machine takes its time to end it
        time.sleep(0.05)
    postgres.start(data_dir, changes={"shared_buffers": "32MB", "fsync": "off"})


def test_postgres_killed_between_stage_and_publish_empties_the_stage_which_is_noticed_and_staged_again(own_server):
    """PostgreSQL truncates UNLOGGED tables at recovery, while the logged record of the batch stays."""
    url = postgres.url(own_server)
    db.migrate(url)
    engine = db.engine(url)
    batches = {"a": bars(CLOSES[:1000]), "b": bars(CLOSES[1000:])}
    staged(engine, "r1", batches)
    (inputs,) = rows(engine, "SELECT batch_id, inputs_sha256 FROM ops.stage_batches WHERE batch_id = 'b'")

    kill_postgres(own_server)
    stage_id = load.stage_id("market_close", "r1", "stock_prices")
    assert not load.batch_done(engine, stage_id, *inputs)  # a retried stage task does not trust the record either
    with pytest.raises(load.StageLost, match=r"2 batches lost staged rows: a \(0 of 1000 rows\).*re-run stage"):
        load.audit(engine, stage_id)
    assert staged(engine, "r1", batches) == stage_id
    load.audit(engine, stage_id)

    kill_postgres(own_server)
    with pytest.raises(load.StageLost, match="re-run stage, then audit"):
        load.publish(engine, stage_id)
    assert closes(engine) == {}
    staged(engine, "r1", batches)
    load.audit(engine, stage_id)
    assert load.publish(engine, stage_id).rows_inserted == len(CLOSES)
    assert closes(engine) == dict(CLOSES)


def test_one_lost_batch_is_noticed_where_others_were_staged_after_the_crash(database):
    stage_id = staged(database, "r1", {"a": bars([(1, 1.0)]), "b": bars([(2, 2.0)])})
    with database.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM staging.stock_prices_{stage_id} WHERE batch_id = 'a'")
    with pytest.raises(load.StageLost, match=r"1 batches lost staged rows: a \(0 of 1 rows\)"):
        load.audit(database, stage_id)
    staged(database, "r1", {"a": bars([(1, 1.0)]), "b": bars([(2, 2.0)])})
    load.audit(database, stage_id)
    assert load.publish(database, stage_id).rows_inserted == 2
