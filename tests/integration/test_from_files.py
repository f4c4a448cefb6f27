"""`--from-files`: what is recognised, and that an old file changes nothing that was answered after it."""

from __future__ import annotations

import copy
import io
import itertools
import json
import os
import struct
import tracemalloc
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from closingbell.landing import Landing
from closingbell.pipelines import LOADS, base, files, news
from closingbell.pipelines.base import Run

OLD = datetime(2025, 5, 2, 23, tzinfo=UTC)
NEW = datetime(2025, 12, 5, 23, tzinfo=UTC)
SESSION = date(2025, 12, 5)


@pytest.fixture
def put(tmp_path: Path):
    """Writes a file of that time: JSON, text, or a zip of {member: text}; its path."""

    def write(name: str, content: Any, *, at: datetime = NEW, members: bool = False) -> Path:
        path = tmp_path / f"{at:%Y%m%d}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if members:
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for member, body in content.items():
                    archive.writestr(member, body)
            path.write_bytes(packed.getvalue())
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        os.utime(path, (at.timestamp(), at.timestamp()))
        return path

    return write


@pytest.fixture
def answers(market: Any, put: Any) -> Any:
    """A folder of every answer that somebody may have, as the market gave them at a moment."""

    def folder(at: datetime) -> Path:
        day = at.date()
        share = market.polygon_tickers(True, at)[0]["ticker"]
        put("company_tickers.json", market.company_tickers(at), at=at)
        put("active.json", {"results": market.polygon_tickers(True, at), "status": "OK"}, at=at)
        put("inactive.json", {"results": market.polygon_tickers(False, at), "status": "OK"}, at=at)
        put("details.json", {"results": market.ticker_details(share, day, at), "status": "OK"}, at=at)
        put("events.json", {"results": market.ticker_events(share, at), "status": "OK"}, at=at)
        put("splits.json", {"results": market.polygon_splits(day - timedelta(days=1200), day, at)}, at=at)
        put("dividends.json", {"results": market.polygon_dividends(day - timedelta(days=60), day, at)}, at=at)
        put("tiingo.json", market.tiingo_daily_all(at), at=at)
        put("one.json", market.tiingo_prices(share, day - timedelta(days=9), day, at), at=at)
        put("supported.zip", {"supported_tickers.csv": market.tiingo_supported(at)}, at=at, members=True)
        put("supported_tickers.csv", market.tiingo_supported(at), at=at)
        put("sp500.csv", market.sp500_csv(at), at=at)
        put("fortune.csv", market.fortune500_csv(), at=at)
        put("readme.txt", "not an answer", at=at)
        facts = {f"CIK{cik:010d}.json": json.dumps(market.companyfacts(cik, at)) for cik in market.ciks[:3]}
        put("companyfacts.zip", facts, at=at, members=True)
        histories = {f"CIK{cik:010d}.json": json.dumps(market.submissions(cik, at)) for cik in market.ciks[:3]}
        return put("submissions.zip", histories, at=at, members=True).parent

    return folder


def test_every_vendors_answers_are_recognised_and_are_as_old_as_their_files(answers):
    folder = answers(NEW)
    found = {path.name: files.read(path) for path in files.find([str(folder)]) if path.name != "readme.txt"}
    assert {name: (answer.vendor, answer.endpoint) for name, answer in found.items()} == {
        "company_tickers.json": ("sec_edgar", "company_tickers"),
        "active.json": ("polygon", "tickers"),
        "inactive.json": ("polygon", "tickers"),
        "details.json": ("polygon", "ticker_details"),
        "events.json": ("polygon", "ticker_events"),
        "splits.json": ("polygon", "splits"),
        "dividends.json": ("polygon", "dividends"),
        "tiingo.json": ("tiingo", "daily_all"),
        "one.json": ("tiingo", "daily_prices"),
        "supported.zip": ("tiingo", "supported_tickers"),
        "supported_tickers.csv": ("tiingo", "supported_tickers"),
        "sp500.csv": ("reference", "sp500"),
        "fortune.csv": ("operator", "fortune500"),
        "companyfacts.zip": ("sec_edgar", "companyfacts_zip"),
        "submissions.zip": ("sec_edgar", "submissions_zip"),
    }
    assert {(answer.answered_at, answer.fetched_at) for answer in found.values()} == {(NEW, NEW)}


def test_a_file_of_no_vendor_is_an_error_where_it_is_named_and_left_out_of_a_folder(answers):
    folder = answers(NEW)
    with pytest.raises(files.UnknownFile, match=r"readme\.txt: not understood; --from-files takes SEC companyfacts"):
        list(files.read_all([str(folder / "readme.txt")], endpoints=["sp500"]))
    assert [answer.endpoint for answer in files.read_all([str(folder)], endpoints=["sp500"])] == ["sp500"]


@pytest.mark.parametrize("entries", [0xFFFF, 3])  # the count may lie
def test_a_zip_of_100_000_members_is_no_vendors_and_its_directory_is_not_read(tmp_path, entries):
    directory = (struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, *[0] * 7, 1, *[0] * 6) + b"a") * 100_000
    path = tmp_path / "any.zip"
    path.write_bytes(directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, entries, entries, len(directory), 0, 0))
    del directory
    tracemalloc.start()
    try:
        with pytest.raises(files.UnknownFile, match=r"any\.zip: .* directory has"):
            files.read(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert list(files.read_all([str(tmp_path)], endpoints=["companyfacts_zip"])) == []


def test_a_zip_that_was_cut_is_no_vendors(put):
    path = put("companyfacts.zip", {"CIK0000320193.json": "{}" * 999}, at=NEW, members=True)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(files.UnknownFile, match="no whole zip; fetch it again"):
        files.read(path)


def test_a_time_still_to_come_is_now(put):
    path = put("sp500.csv", "Symbol,GICS Sector\n", at=datetime(2199, 1, 1, tzinfo=UTC))
    assert files.read(path).fetched_at <= datetime.now(UTC)


def test_files_alone_fill_universe_and_prices_and_no_vendor_is_asked(database, answers, market, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOSINGBELL_PRICE_VENDOR", "polygon")
    landing = Landing(str(tmp_path / "landing"), database)
    folder = answers(NEW)
    _load(database, landing, "universe", folder)
    _load(database, landing, "prices", folder)
    assert _count(database, "securities") >= len(market.polygon_tickers(True, NEW))
    kinds = "SELECT DISTINCT index_name FROM closingbell.index_members ORDER BY 1"
    assert _column(database, kinds) == ["fortune500", "sp500"]
    assert _column(database, "SELECT DISTINCT kind FROM closingbell.corporate_actions ORDER BY 1") == [
        "dividend",
        "split",
    ]
    listed = _column(database, f"SELECT count(*) FROM closingbell.stock_prices WHERE session = '{SESSION}'")
    assert listed[0] > 20  # Tiingo's newest bar of every listed ticker


def test_a_list_of_members_alone_goes_with_the_tickers_of_before(database, answers, tmp_path):
    landing = Landing(str(tmp_path / "landing"), database)
    folder = answers(NEW)
    alone = [folder / "fortune.csv"]
    with pytest.raises(files.UnknownFile, match="no list of tickers"):
        _load(database, landing, "universe", *alone)
    _load(database, landing, "universe", folder / "company_tickers.json")
    securities = _column(database, "SELECT to_jsonb(s)::text FROM closingbell.securities s ORDER BY 1")
    assert not _count(database, "index_members")
    _load(database, landing, "universe", *alone)
    assert _column(database, "SELECT DISTINCT index_name FROM closingbell.index_members") == ["fortune500"]
    assert _column(database, "SELECT to_jsonb(s)::text FROM closingbell.securities s ORDER BY 1") == securities


@pytest.mark.parametrize("load", ["sec_financials", "universe", "prices"])
def test_an_old_dump_changes_nothing_that_was_answered_after_it(load, database, answers, put, market, tmp_path):
    landing = Landing(str(tmp_path / "landing"), database)
    old, new = answers(OLD), answers(NEW)
    facts = {f"CIK{cik:010d}.json": json.dumps(mistaken(market, cik)) for cik in market.ciks[:3]}
    put("companyfacts.zip", facts, at=OLD, members=True)
    for path in (old, new):
        (path / "one.json").unlink()  # of one ticker, named by the file
    if load == "prices":
        _load(database, landing, "universe", new)
        bars = json.loads((new / "tiingo.json").read_text())
        for bar in bars:
            bar["close"] = bar["low"]
        put("before.json", bars, at=NEW - timedelta(minutes=30)).rename(old / "tiingo.json")
    table = {"sec_financials": "financials", "universe": "securities", "prices": "stock_prices"}[load]
    _load(database, landing, load, new)
    current = _rows(database, table)
    assert current
    changed = _load(database, landing, load, old)
    assert changed[table]["updated"] == changed[table]["deleted"] == 0
    assert current <= _rows(database, table)
    if load != "universe":
        assert changed[table]["older"]


def test_a_new_dump_changes_what_an_old_one_said(database, answers, put, market, tmp_path):
    landing = Landing(str(tmp_path / "landing"), database)
    cik = market.ciks[0]
    history = put(f"CIK{cik:010d}.json", market.submissions(cik, NEW))
    _load(database, landing, "sec_financials", put(f"old/CIK{cik:010d}.json", mistaken(market, cik), at=OLD), history)
    new = put(f"new/CIK{cik:010d}.json", market.companyfacts(cik, NEW))
    assert _load(database, landing, "sec_financials", new, history)["financials"]["updated"]
    truth = _rows(database, "financials")
    with database.begin() as connection:
        connection.execute(text("DELETE FROM closingbell.financials"))
        connection.execute(text("DELETE FROM closingbell.financial_facts"))
    _load(database, landing, "sec_financials", new, history)
    assert _rows(database, "financials") == truth


def test_what_a_companys_newer_facts_no_longer_give_is_withdrawn_as_a_replay_would(database, put, market, tmp_path):
    """SEC takes a filing back; in answers of one company and in zips, but not where a run tells a few years only."""
    landing, days = Landing(str(tmp_path / "landing"), database), itertools.count()
    cik, other = market.ciks[:2]
    whole = {id_: market.companyfacts(id_, NEW) for id_ in (cik, other)}
    taken = max((fact["filed"], fact["accn"]) for facts in _units(whole[cik]).values() for fact in facts)[1]
    cut = copy.deepcopy(whole[cik])
    for facts in _units(cut).values():
        facts[:] = [fact for fact in facts if fact["accn"] != taken]

    def file(answer: dict[str, Any]) -> Path:
        return put(f"CIK{answer['cik']:010d}.json", answer, at=OLD + timedelta(days=next(days)))

    def zip_of(*answers: dict[str, Any]) -> Path:
        members = {f"CIK{answer['cik']:010d}.json": json.dumps(answer) for answer in answers}
        return put("companyfacts.zip", members, at=OLD + timedelta(days=next(days)), members=True)

    def given(*paths: Path, **params: Any) -> dict[str, int]:
        counts = _load(database, landing, "sec_financials", *paths, **params)
        return {table: found["deleted"] for table, found in counts.items()}

    def replay_changes() -> int:
        run = Run(dag_id="r", run_id=f"{next(days)}", partition_key="r", engine=database, landing=landing)
        counts = base.replay(LOADS["sec_financials"], run).values()
        return sum(found[name] for found in counts for name in ("inserted", "updated", "deleted"))

    def rows() -> set[str]:
        return _rows(database, "financial_facts") | _rows(database, "financials")

    kept = {"filings": 0, "financial_facts": 0, "financials": 0}
    given(file(whole[cik]), file(whole[other]))
    before = rows()
    assert given(file(cut), years=1) == kept
    withdrawn = given(file(cut))
    after = rows()
    gone = _column(
        database,
        "SELECT (old_row - 'landing_id' - 'fetched_at')::text FROM ops.revisions WHERE reason = 'no longer given'",
    )
    assert before - after == set(gone)
    assert withdrawn["financial_facts"] == sum(taken in row for row in gone) - withdrawn["financials"] > 0
    assert after < before
    assert not any(taken in row for row in after)
    assert replay_changes() == 0
    given(zip_of(*whole.values()))
    assert rows() == before
    assert replay_changes() == 0
    assert given(file(cut)) == withdrawn
    assert replay_changes() == 0
    given(zip_of(*whole.values()))
    assert given(zip_of(cut)) == withdrawn
    assert rows() == after


def test_older_facts_withdraw_nothing_that_newer_ones_gave(database, put, market, tmp_path):
    """Rows name the answer that gave them first, which may be older than both."""
    landing = Landing(str(tmp_path / "landing"), database)
    cik = market.ciks[0]
    whole, cut = market.companyfacts(cik, NEW), market.companyfacts(cik, OLD)
    name = f"CIK{cik:010d}.json"
    for at in (OLD, NEW):
        _load(database, landing, "sec_financials", put(name, whole, at=at))
    rows = _rows(database, "financial_facts")
    between = OLD + timedelta(days=1)
    for path in (
        put(name, cut, at=between),
        put("companyfacts.zip", {name: json.dumps(cut)}, at=between, members=True),
    ):
        assert _load(database, landing, "sec_financials", path)["financial_facts"]["deleted"] == 0
    assert _rows(database, "financial_facts") == rows


def _units(answer: dict[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    return {
        (concept, unit): facts
        for concepts in answer["facts"].values()
        for concept, stated in concepts.items()
        for unit, facts in stated["units"].items()
    }


def mistaken(market: Any, cik: int) -> dict[str, Any]:
    """Company facts of long ago, with numbers that were mended since."""
    answer = market.companyfacts(cik, OLD)
    for units in (concept["units"] for concept in answer["facts"].get("us-gaap", {}).values()):
        for fact in (fact for facts in units.values() for fact in facts):
            fact["val"] *= 3
    return answer


def _load(engine: Engine, landing: Landing, name: str, *paths: Path, **params: Any) -> dict[str, dict[str, int]]:
    run = Run(
        dag_id=name, run_id=f"{name} {datetime.now(UTC).isoformat()}", partition_key=SESSION.isoformat(),
        engine=engine, landing=landing, params={"from_files": [str(path) for path in paths]} | params,
    )  # fmt: skip
    return base.run_load(LOADS[name], run)


def _rows(engine: Engine, table: str) -> set[str]:
    return set(
        _column(
            engine, f"SELECT (to_jsonb(t) - 'landing_id' - 'fetched_at')::text FROM closingbell.{table} t ORDER BY 1"
        )
    )


def _count(engine: Engine, table: str) -> int:
    return _column(engine, f"SELECT count(*) FROM closingbell.{table}")[0]


def _column(engine: Engine, statement: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(statement)).scalars())


def test_a_file_that_is_too_large_is_named_with_what_to_do_in_a_folder_too(put, monkeypatch):
    monkeypatch.setattr(files, "MAX_FILE", 1 << 20)
    header, record = "Date,Article_title,Stock_symbol,Url\n", '2020-06-05 10:30:54 UTC,"T\nT",A,https://a.com/1\n'
    path = put("nasdaq_external_data.csv", header + record * (1 + (1 << 20) // len(record)))
    for named in (path, path.parent):
        with pytest.raises(files.UnknownFile, match=r"nasdaq_external_data.csv: more than 1 MiB.*split it"):
            list(files.read_all([str(named)], endpoints=("news", "csv")))
    put("nasdaq_external_data.csv", header + record)
    (part,) = files.read_all([str(path.parent)], endpoints=("news", "csv"))
    assert (part.vendor, part.endpoint) == ("fnspid", "csv")


def test_files_of_news_share_a_batch_as_far_as_memory_allows(put, monkeypatch):
    header, record = "Date,Article_title,Stock_symbol,Url\n", "2020-06-05 10:30:54 UTC,T,A,https://a.com/1\n"
    paths = [put(f"part{number}.csv", header + record * rows) for number, rows in enumerate((3, 3, 9, 3))]
    monkeypatch.setattr(news, "BYTES_PER_BATCH", 6 * len(record) + 2 * len(header))
    numbers = itertools.count(1)
    run = SimpleNamespace(
        params={"from_files": [str(paths[0].parent)]}, landing=SimpleNamespace(put=lambda answer: next(numbers))
    )
    assert [batch["landing_ids"] for batch in news.plan(run)] == [[1, 2], [3], [4]]
