"""A quarter of 13F, 3.2 million lines in a data set's zip, to published rows; beside a bare COPY of the same rows.

The zip is written as a stream, batch by batch, and so is it read. Counted is all from the landed zip on: both passes
over it, stage, audit, publish; imports are excluded. Memory is our process's peak; PostgreSQL's is by its settings.
CPU seconds are our process's and all of PostgreSQL's: on a busy machine they say more than the clock.
Run: python -m tests.benchmarks.institutions
"""

from __future__ import annotations

import logging
import os
import resource
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
from sqlalchemy import Engine, text

ROWS = 3_200_000
FILINGS = 8_000
CUSIPS, SECURITIES = 20_000, 5_000
QUARTER, FILED = date(2024, 9, 30), date(2024, 11, 14)
BUDGET_SECONDS, BUDGET_BYTES, CORES = 60, 2 << 30, 2
NAME = "01sep2024-30nov2024"

log = logging.getLogger(__name__)


def measure() -> list[dict[str, Any]]:
    """Seconds and memory of a quarter, and the same rows by COPY alone."""
    import great_expectations  # noqa: F401

    from closingbell import postgres
    from closingbell.warehouse import db

    with tempfile.TemporaryDirectory(prefix="closingbell-bench-", ignore_cleanup_errors=True) as folder:
        server = Path(folder) / "pg"
        archive = Path(folder) / f"{NAME}_form13f.zip"
        write(archive)
        log.info("a zip of %.0f MB", archive.stat().st_size / 1e6)
        try:
            url = postgres.start(server, "closingbell")
            db.create_database(url)
            db.migrate(url)
            engine = db.engine(url)
            _prepare(engine)
            before = _cpu(server)
            seconds, peak = _load(engine, archive, Path(folder) / "landing")
            cpu = _cpu(server) - before
            copy = _bare_copy(engine, Path(folder) / "rows.csv")
        finally:
            postgres.stop(server)
    return [
        {
            "name": "13F quarter of 3.2M lines, zip to published, seconds", "value": round(seconds, 1),
            "baseline": BUDGET_SECONDS, "ratio": round(seconds / BUDGET_SECONDS, 3), "budget": "<= 1",
            "holds": seconds <= BUDGET_SECONDS,
        },
        {
            "name": "13F quarter, CPU seconds of the load and of PostgreSQL", "value": round(cpu, 1),
            "baseline": CORES * BUDGET_SECONDS, "ratio": round(cpu / CORES / BUDGET_SECONDS, 3), "budget": "<= 1",
            "holds": cpu <= CORES * BUDGET_SECONDS,
        },
        {
            "name": "13F quarter, peak memory of the load, MiB", "value": round(peak / 2**20),
            "baseline": BUDGET_BYTES >> 20, "ratio": round(peak / BUDGET_BYTES, 3), "budget": "<= 1",
            "holds": peak <= BUDGET_BYTES,
        },
        {
            "name": "13F quarter, zip to published against bare COPY, rows a second", "value": round(ROWS / seconds),
            "baseline": round(ROWS / copy), "ratio": round(copy / seconds, 3), "budget": ">= 0.2",
            "holds": copy / seconds >= 0.2,
        },
    ]  # fmt: skip


def write(path: Path) -> None:
    """The data set: filings of 400 lines, values in dollars, some options, most CUSIPs of no security of ours."""
    keys = [f"{9_700_000 + n:010d}-24-{1:06d}" for n in range(FILINGS)]
    each = ROWS // FILINGS
    days = [f"{day:%d-%b-%Y}".upper() for day in (FILED, QUARTER)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        head = "ACCESSION_NUMBER\tFILING_DATE\tSUBMISSIONTYPE\tCIK\tPERIODOFREPORT\n"
        rows = (f"{key}\t{days[0]}\t13F-HR\t{key[:10]}\t{days[1]}\n" for key in keys)
        archive.writestr("SUBMISSION.tsv", head + "".join(rows))
        head = (
            "ACCESSION_NUMBER\tISAMENDMENT\tAMENDMENTNO\tAMENDMENTTYPE\tFILINGMANAGER_NAME\tREPORTTYPE\t"
            "FORM13FFILENUMBER\n"
        )
        rows = (
            f"{key}\tN\t\t\tManager {n} Capital LLC\t13F HOLDINGS REPORT\t028-{n:05d}\n" for n, key in enumerate(keys)
        )
        archive.writestr("COVERPAGE.tsv", head + "".join(rows))
        archive.writestr("OTHERMANAGER.tsv", "ACCESSION_NUMBER\tCIK\tFORM13FFILENUMBER\tNAME\n")
        archive.writestr("OTHERMANAGER2.tsv", "ACCESSION_NUMBER\tSEQUENCENUMBER\tCIK\tFORM13FFILENUMBER\tNAME\n")
        totals: list[int] = []
        with archive.open("INFOTABLE.tsv", "w", force_zip64=True) as table:
            for part, sums in _lines(keys, each):
                table.write(part)
                totals += sums
        head = "ACCESSION_NUMBER\tTABLEENTRYTOTAL\tTABLEVALUETOTAL\tISCONFIDENTIALOMITTED\n"
        rows = (f"{key}\t{each}\t{total}\tN\n" for key, total in zip(keys, totals, strict=True))
        archive.writestr("SUMMARYPAGE.tsv", head + "".join(rows))


def _lines(keys: list[str], each: int) -> Iterator[tuple[bytes, list[int]]]:
    random = np.random.default_rng(13)
    closes = _closes()
    names = np.array([f"SIMULATED ISSUER {n:05d} INC" for n in range(CUSIPS)])
    cusips = np.array([_cusip(n) for n in range(CUSIPS)])
    number = 0
    for start in range(0, len(keys), 250):
        some = keys[start : start + 250]
        count = len(some) * each
        which = random.integers(0, CUSIPS, count)
        shares = random.integers(1, 500_000, count)
        values = np.maximum(1, np.round(shares * closes[which])).astype(np.int64)
        kinds = np.where(random.random(count) < 0.03, np.where(random.random(count) < 0.5, "Put", "Call"), "")
        frame = pl.DataFrame(
            {
                "ACCESSION_NUMBER": np.repeat(np.array(some), each),
                "INFOTABLE_SK": np.arange(number, number + count),
                "NAMEOFISSUER": names[which],
                "TITLEOFCLASS": pl.repeat("COM", count, eager=True),
                "CUSIP": cusips[which],
                "FIGI": pl.repeat("", count, eager=True),
                "VALUE": values,
                "SSHPRNAMT": shares,
                "SSHPRNAMTTYPE": pl.repeat("SH", count, eager=True),
                "PUTCALL": kinds,
                "INVESTMENTDISCRETION": pl.repeat("SOLE", count, eager=True),
                "OTHERMANAGER": pl.repeat("", count, eager=True),
                "VOTING_AUTH_SOLE": shares,
                "VOTING_AUTH_SHARED": np.zeros(count, dtype=np.int64),
                "VOTING_AUTH_NONE": np.zeros(count, dtype=np.int64),
            }
        )
        number += count
        text_ = frame.write_csv(separator="\t", include_header=start == 0, quote_style="never")
        yield text_.encode(), values.reshape(len(some), each).sum(axis=1).tolist()


def _closes() -> np.ndarray:
    return np.round(np.random.default_rng(31).lognormal(3.5, 0.8, CUSIPS), 2)


def _cusip(number: int) -> str:
    return f"{number + 100_000:06d}103"


def _prepare(engine: Engine) -> None:
    """What a warehouse has before: the CUSIPs' securities and their closes at the quarter's end."""
    rows = list(zip(range(SECURITIES), _closes()[:SECURITIES].tolist(), strict=True))
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO closingbell.cusip_history (cusip, valid_from, ticker, security_id, fetched_at) "
                "VALUES (:cusip, '2020-01-01', :ticker, :id, now())"
            ),
            [{"cusip": _cusip(n), "ticker": f"T{n}", "id": n + 1} for n, _ in rows],
        )
        connection.execute(
            text(
                "INSERT INTO closingbell.stock_prices (security_id, session, open, high, low, close, volume, source, "
                "final, fetched_at) VALUES (:id, :day, :close, :close, :close, :close, 1, 'polygon', true, now())"
            ),
            [{"id": n + 1, "day": QUARTER, "close": close} for n, close in rows],
        )


def _load(engine: Engine, archive: Path, landing: Path) -> tuple[float, int]:
    """Seconds from the zip to published rows, and the most memory that this process had meanwhile."""
    from closingbell.hooks.answer import Answer
    from closingbell.landing import Landing
    from closingbell.pipelines import base, institutional_holdings

    now = datetime(2024, 12, 15, tzinfo=UTC)
    zone = Landing(str(landing), engine)
    run = base.Run(dag_id="bench", run_id="first", partition_key="bench", engine=engine, landing=zone)
    load = institutional_holdings.LOAD
    with _Peak() as peak:
        start = time.perf_counter()
        answer = Answer(vendor="sec_edgar", endpoint="form13f_set", key=NAME, request={}, body=archive,
                        content_type="application/zip", answered_at=now, fetched_at=now)  # fmt: skip
        batch = {"key": NAME, "set": NAME, "landing_ids": [zone.put(answer)]}
        base.open_stages(load, run, [batch])
        rows = base.stage(load, run, batch)
        staged = time.perf_counter()
        base.audit(load, run)
        audited = time.perf_counter()
        counts = base.publish(load, run)
        ended = time.perf_counter()
    log.info(
        "stage %.1f s, audit %.1f s, publish %.1f s: %s, peak %.0f MiB",
        staged - start, audited - staged, ended - audited, counts, peak.bytes / 2**20,
    )  # fmt: skip
    if rows["institutional_holdings"] != ROWS or counts["institutional_holdings"]["inserted"] != ROWS:
        raise AssertionError(f"published {counts} of {ROWS} lines")
    return ended - start, peak.bytes


def _cpu(server: Path) -> float:
    """CPU seconds that this process and the server, its ended backends too, have used."""
    from closingbell import postgres

    own, postmaster = psutil.Process().cpu_times(), psutil.Process(postgres.pid(server))
    times = [own, postmaster.cpu_times(), *(child.cpu_times() for child in postmaster.children())]
    ended = postmaster.cpu_times()
    return sum(spent.user + spent.system for spent in times) + ended.children_user + ended.children_system


class _Peak:
    """The most resident memory of this process while it is entered, looked at ten times a second."""

    def __enter__(self) -> _Peak:
        self.bytes, self._ended = 0, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            pages = int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1])
            self.bytes = max(self.bytes, pages * resource.getpagesize())


def _bare_copy(engine: Engine, file: Path) -> float:
    """Seconds of COPY alone of the same rows into a table of the same columns and keys."""
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE closingbell.bare (LIKE closingbell.institutional_holdings INCLUDING ALL)")
        )
        cursor = connection.connection.cursor()
        with file.open("wb") as out:
            cursor.copy_expert("COPY closingbell.institutional_holdings TO STDOUT (FORMAT csv)", out)
    start = time.perf_counter()
    with engine.begin() as connection, file.open("rb") as rows:
        connection.connection.cursor().copy_expert("COPY closingbell.bare FROM STDIN (FORMAT csv)", rows)
    return time.perf_counter() - start


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    started = datetime.now(UTC)
    for line in measure():
        print(line)
    print(f"in {(datetime.now(UTC) - started) / timedelta(seconds=1):.0f} s")
