"""Every hook against the sandbox over real HTTP, and what the sandbox promises: its clock, limits, pages and faults."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import zipfile
from contextlib import closing
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from closingbell.connections import configured, environment, resolve
from closingbell.hooks import ALLOWANCES, open_hook
from closingbell.hooks.errors import AuthFailed, BadAnswer, NotFound, RateLimited, ServerError, ThrottlePage
from closingbell.news.pages import sources
from closingbell.sandbox import server
from closingbell.sandbox.faults import Faults, rates
from closingbell.sandbox.server import Sandbox, open_market, running
from closingbell.settings import settings

LAST = date(2025, 12, 5)  # the last session of the simulated market


def _json(answer):
    return json.loads(answer.body)


def test_every_hook_has_an_answer_of_its_vendors_form(sandbox, market, tmp_path):
    sec, polygon, tiingo = (open_hook(name, None) for name in ("sec_edgar", "polygon", "tiingo"))
    cik = market.cases["plain"]
    assert {"cik_str", "ticker", "title"} == set(_json(sec.company_tickers())["0"])
    filings = _json(sec.submissions(cik))["filings"]
    assert "acceptanceDateTime" in filings["recent"]
    assert len(_json(sec.submissions_page(filings["files"][0]["name"]))["accessionNumber"]) > 0
    assert "us-gaap" in _json(sec.companyfacts(cik))["facts"]
    assert "recent" in _json(sec.submissions(f"{cik:010d}"))["filings"]

    grouped = _json(polygon.grouped_daily(LAST))
    assert grouped["adjusted"] is False
    assert grouped["resultsCount"] == len(grouped["results"]) > 20
    assert {"T", "o", "h", "l", "c", "v", "t"} <= set(grouped["results"][0])
    listed = _json(next(polygon.tickers(active=True)))["results"]
    assert all(row["active"] for row in listed)
    assert all("delisted_utc" in row for row in _json(next(polygon.tickers(active=False)))["results"])
    ticker = next(row["ticker"] for row in listed if row.get("cik") == f"{cik:010d}")
    assert _json(polygon.ticker_details(ticker, LAST))["results"]["ticker"] == ticker
    assert _json(polygon.ticker_events(ticker))["results"]["events"]
    splits = [row for page in polygon.splits(date(2000, 1, 1), LAST) for row in _json(page)["results"]]
    assert {"execution_date", "split_from", "split_to", "ticker"} <= set(splits[0])

    bars = _json(tiingo.daily_prices(ticker, date(2025, 12, 1), LAST))
    assert [bar["date"][:10] for bar in bars] == [f"2025-12-0{day}" for day in range(1, 6)]
    assert {"close", "adjClose", "divCash", "splitFactor"} <= set(bars[0])
    everything = tiingo.daily_all()
    assert everything.key == LAST.isoformat()
    assert {"ticker", "close"} <= set(_json(everything)[0])
    (tmp_path / "t.zip").write_bytes(tiingo.supported_tickers().body)
    with zipfile.ZipFile(tmp_path / "t.zip") as archive:
        assert archive.read("supported_tickers.csv").startswith(b"ticker,exchange,assetType")

    chart = _json(open_hook("yahoo", None).chart(ticker, date(2025, 12, 1), LAST))
    assert len(chart["chart"]["result"][0]["timestamp"]) == 5
    assert open_hook("reference", None).sp500().body.startswith(b"Symbol,Security,GICS Sector")


def test_daily_index_lists_the_days_filings_and_other_days_are_not_found(sandbox, market):
    sec = open_hook("sec_edgar", None)
    filings = json.loads(sec.submissions(market.cases["plain"]).body)["filings"]["recent"]
    body = sec.daily_index(date.fromisoformat(filings["filingDate"][0])).body
    assert filings["accessionNumber"][0].encode() in body
    with pytest.raises(NotFound):
        sec.daily_index(date(2025, 12, 6))  # a Saturday


def test_bulk_zips_hold_what_the_single_answers_hold(sandbox, market, tmp_path):
    sec = open_hook("sec_edgar", None)
    cik = market.cases["plain"]
    with zipfile.ZipFile(sec.companyfacts_zip(tmp_path).body) as archive:
        assert archive.read(f"CIK{cik:010d}.json") == sec.companyfacts(cik).body
    with zipfile.ZipFile(sec.submissions_zip(tmp_path).body) as archive:
        assert archive.read(f"CIK{cik:010d}.json") == sec.submissions(cik).body
        assert f"CIK{cik:010d}-submissions-001.json" in archive.namelist()
        assert archive.testzip() is None


def test_unknown_keys_are_not_found_in_each_vendors_shape(sandbox):
    asks = [
        lambda: open_hook("sec_edgar", None).companyfacts(1),
        lambda: open_hook("sec_edgar", None).submissions(1),
        lambda: open_hook("polygon", None).ticker_details("NOPE", LAST),
        lambda: open_hook("tiingo", None).daily_prices("NOPE", LAST, LAST),
        lambda: open_hook("yahoo", None).chart("NOPE", LAST, LAST),
    ]
    for ask in asks:
        with pytest.raises(NotFound):
            ask()


@pytest.mark.parametrize(
    "conn_type", ["sec_edgar", "polygon", "tiingo", "yahoo", "benzinga", "marketaux", "gemini", "web"]
)
def test_every_test_button_works_and_asks_out_of_everybodys_quota(sandbox, database, monkeypatch, conn_type):
    from airflow.models.connection import Connection  # what the button's route calls

    # the form's connection has a random id for as long as it is tested
    monkeypatch.setenv("AIRFLOW_CONN_FORM7", environment(sandbox[0])[f"AIRFLOW_CONN_{conn_type.upper()}"])
    worked, said = Connection(conn_id="form7", conn_type=conn_type).test_connection()
    assert worked, said
    with closing(open_hook(conn_type, database, host=sources()[0].host if conn_type == "web" else "")):
        pass  # who loads has the same rows, one for each host or key, and the button has drawn on every one
    drawn = "SELECT tat > '-infinity' FROM ops.vendor_quota WHERE vendor = :vendor"
    with database.connect() as connection:
        rows = connection.scalars(text(drawn), {"vendor": conn_type}).all()
    assert rows == [True] * (len({source.host for source in sources()}) if conn_type == "web" else 1)


def test_a_test_button_says_when_the_day_is_spent_and_when_the_vendor_throttles(sandbox, database):
    from closingbell.orchestration.airflow_hooks import BenzingaHook, SecEdgarHook

    with closing(BenzingaHook().get_conn()) as benzinga, closing(SecEdgarHook().get_conn()) as sec:
        benzinga.client.quota.take(500)
        sec.client.quota.throttle(600)
    worked, said = BenzingaHook().test_connection()
    assert not worked
    assert "500 of 500 requests of the day are spent; the budget resets at " in said
    worked, said = SecEdgarHook().test_connection()
    assert not worked
    assert re.fullmatch(r"sec_edgar throttles: nobody asks it for (599|600) s more; test again then", said)


def test_a_test_button_without_the_warehouse_asks_nobody(sandbox, monkeypatch):
    from closingbell.orchestration.airflow_hooks import SecEdgarHook

    monkeypatch.setenv("CLOSINGBELL_DATABASE_URL", "postgresql://nobody:s3cr3t@127.0.0.1:1/none")
    settings.cache_clear()
    try:
        worked, said = SecEdgarHook().test_connection()
    finally:
        settings.cache_clear()
    assert not worked
    assert said.startswith("sec_edgar was not asked, for its quota is kept in the warehouse: ")
    assert "s3cr3t" not in said


def test_a_wrong_key_shows_on_the_test_button(sandbox, database, monkeypatch):
    from closingbell.orchestration.airflow_hooks import PolygonHook

    url, _ = sandbox
    monkeypatch.setenv("AIRFLOW_CONN_POLYGON", json.dumps({"conn_type": "polygon", "host": f"{url}/polygon"}))
    assert not configured("polygon")
    assert PolygonHook().test_connection() == (
        False,
        "connection polygon has no API key: put it in the password, or set POLYGON_API_KEY",
    )
    wrong = {"conn_type": "polygon", "host": f"{url}/polygon", "password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_POLYGON", json.dumps(wrong))
    worked, said = PolygonHook().test_connection()
    assert not worked
    assert "Unknown API Key" in said
    with pytest.raises(AuthFailed):
        open_hook("polygon", None).grouped_daily(LAST)


def test_connections_survive_the_uri_that_airflows_test_route_makes_of_them(sandbox, monkeypatch):
    from airflow.models.connection import Connection

    url, _ = sandbox
    made = Connection(
        conn_id="x", conn_type="sec_edgar", host=f"{url}/", extra='{"contact": "a@example.org", "timeout_seconds": 3}'
    )
    monkeypatch.setenv("AIRFLOW_CONN_X", made.get_uri())
    endpoint = resolve("x")
    assert endpoint.base_url == url
    assert endpoint.extra["contact"] == "a@example.org"


def test_a_hook_of_a_warehouse_paces_itself_by_its_plan_for_all_processes(sandbox, database):
    hook = open_hook("sec_edgar", database)
    hook.company_tickers()
    hook.close()
    with database.connect() as connection:
        row = connection.execute(text("SELECT vendor, key, per_second FROM ops.vendor_quota")).one()
    assert tuple(row) == ("sec_edgar", "all", ALLOWANCES["sec_edgar"]["default"].per_second)


# -- clock -----------------------------------------------------------------------------------------------------------


def test_the_clock_stands_on_the_last_evening_and_nothing_later_is_served(sandbox):
    url, _ = sandbox
    # close 21:00 UTC and 2 h 05
    assert httpx.get(f"{url}/_sandbox/clock").json() == {"now": "2025-12-05T23:05:00Z"}
    polygon = open_hook("polygon", None)
    assert polygon.grouped_daily(LAST).answered_at == datetime(2025, 12, 5, 23, 5, tzinfo=UTC)
    httpx.post(f"{url}/_sandbox/clock", json={"now": "2025-12-01T20:00:00+00:00"})
    earlier = polygon.grouped_daily(LAST)
    assert "results" not in _json(earlier)
    assert earlier.answered_at == datetime(2025, 12, 1, 20, tzinfo=UTC)
    assert httpx.post(f"{url}/_sandbox/clock", json={"now": "2025-12-01T20:00:00"}).status_code == 400


def test_it_says_what_market_it_is(sandbox):
    url, _ = sandbox
    said = httpx.get(f"{url}/_sandbox/market").json()
    assert said == {
        "mode": "simulated",
        "seed": 7,
        "companies": 25,
        "first_session": "2022-01-03",
        "last_session": "2025-12-05",
        "quarters": [],  # of 13F it has what is asked for
        "now": "2025-12-05T23:05:00Z",
    }
    assert "RANK" in httpx.get(f"{url}/_sandbox/fortune500.csv").text.splitlines()[0]
    assert httpx.get(f"{url}/_sandbox/nothing").status_code == 404


# -- limits and refusals ---------------------------------------------------------------------------------------------


def test_sec_throttles_more_than_ten_requests_a_second_by_a_page(market, quick_sec, monkeypatch):
    monkeypatch.setattr(server, "SEC_PER_SECOND", quick_sec)
    with running(Sandbox(market, mode="simulated")) as url:
        monkeypatch.setenv("AIRFLOW_CONN_SEC_EDGAR", environment(url)["AIRFLOW_CONN_SEC_EDGAR"])
        sec = open_hook("sec_edgar", None)
        with pytest.raises(ThrottlePage):
            [sec.company_tickers() for _ in range(101)]  # at once, in a window of ten seconds


def test_sec_does_not_answer_who_does_not_say_who_asks(sandbox):
    url, _ = sandbox
    answer = httpx.get(f"{url}/www.sec.gov/files/company_tickers.json", headers={"User-Agent": "python"})
    assert answer.status_code == 403
    assert "Undeclared Automated Tool" in answer.text


@pytest.mark.parametrize(
    ("path", "status"), [("polygon/v1/marketstatus/now", 401), ("tiingo/api/test", 401), ("polygon/v9/none", 401)]
)
def test_no_key_no_answer(sandbox, path, status):
    assert httpx.get(f"{sandbox[0]}/{path}").status_code == status


def test_polygon_pages_by_a_cursor_under_the_vendors_own_host(sandbox):
    url, _ = sandbox
    ask = {"limit": "7", "execution_date.gte": "2000-01-01", "order": "asc", "sort": "execution_date"}
    key = {"Authorization": "Bearer sandbox"}
    path = "polygon/v3/reference/dividends"
    first = httpx.get(f"{url}/{path}", params=ask, headers=key).json()
    assert len(first["results"]) == 7
    assert first["next_url"].startswith("https://api.polygon.io/v3/reference/dividends?cursor=")
    cursor = first["next_url"].partition("cursor=")[2]
    second = httpx.get(f"{url}/{path}", params={"cursor": cursor}, headers=key).json()
    rows = [(row["ex_dividend_date"], row["ticker"]) for row in first["results"] + second["results"]]
    assert rows == sorted(rows)
    assert len(set(rows)) == 14
    assert httpx.get(f"{url}/{path}", params={"limit": "9999"}, headers=key).status_code == 400
    assert httpx.get(f"{url}/{path}", params={"cursor": "!"}, headers=key).status_code == 400


def test_hook_pages_join_to_the_whole(sandbox, market):
    pages = list(open_hook("polygon", None).dividends(date(2014, 1, 1), LAST))
    rows = [row for page in pages for row in _json(page)["results"]]
    whole = market.polygon_dividends(date(2014, 1, 1), LAST, market.default_clock)
    assert len(rows) == len(whole) > 100


# -- faults ----------------------------------------------------------------------------------------------------------


def test_with_faults_every_answer_still_comes_and_is_the_same(sandbox):
    url, _ = sandbox
    clean = [open_hook("polygon", None).grouped_daily(day).body for day in _december()]
    post = {"429": 0.3, "5xx": 0.2, "truncated": 0.2, "retry_after": 0}
    assert httpx.post(f"{url}/_sandbox/faults", json=post).json()["rates"]["429"] == 0.3
    hook = open_hook("polygon", None)
    hook.client.sleep = lambda seconds: None
    assert [hook.grouped_daily(day).body for day in _december() for _ in range(4)] == [
        b for b in clean for _ in range(4)
    ]
    counts = httpx.get(f"{url}/_sandbox/faults").json()["counts"]
    assert min(counts["429"], counts["5xx"], counts["truncated"]) > 0
    httpx.post(f"{url}/_sandbox/faults", json={})
    assert httpx.get(f"{url}/_sandbox/faults").json()["counts"] == {}


def _december():
    return [date(2025, 12, day) for day in range(1, 6)]


@pytest.mark.parametrize(
    ("kind", "error"),
    [("429", RateLimited), ("5xx", ServerError), ("truncated", ServerError), ("timeout", ServerError)],
)
def test_each_fault_is_its_error_where_nobody_tries_again(sandbox, monkeypatch, kind, error):
    url, box = sandbox
    box.faults.change(rates(json.dumps({kind: 1, "retry_after": 61, "slow_seconds": 2})))
    made = json.loads(environment(url)["AIRFLOW_CONN_POLYGON"])
    made["extra"]["timeout_seconds"] = 0.3
    monkeypatch.setenv("AIRFLOW_CONN_POLYGON", json.dumps(made))
    monkeypatch.setattr("closingbell.hooks.http.TRIES", 1)
    with pytest.raises(error):
        open_hook("polygon", None).grouped_daily(LAST)


def test_403_pages_are_secs_throttle_and_refusals_elsewhere(sandbox):
    _, box = sandbox
    box.faults.change(rates('{"403": 1}'))
    with pytest.raises(ThrottlePage):
        open_hook("sec_edgar", None).company_tickers()
    with pytest.raises(AuthFailed):
        open_hook("polygon", None).grouped_daily(LAST)


def test_truncated_bulk_zip_and_yahoo_chart_are_server_errors(sandbox, monkeypatch, tmp_path):
    _, box = sandbox
    monkeypatch.setattr("closingbell.hooks.http.TRIES", 1)
    box.faults.change(rates('{"truncated": 1}'))
    with pytest.raises(ServerError):
        open_hook("sec_edgar", None).submissions_zip(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ServerError):
        open_hook("yahoo", None).chart(_a_ticker(box), date(2025, 12, 1), LAST)


def _a_ticker(box):
    return box.market.polygon_tickers(True, box.clock)[0]["ticker"]


def test_duplicates_and_drift_change_the_body_as_they_say(sandbox, market):
    _, box = sandbox
    sec, polygon = open_hook("sec_edgar", None), open_hook("polygon", None)
    cik = market.cases["plain"]
    bars, facts = _json(polygon.grouped_daily(LAST))["results"], sec.companyfacts(cik).body
    box.faults.change(rates('{"duplicates": 1}'))
    assert _json(polygon.grouped_daily(LAST))["results"] == bars + bars[:3]
    assert len(sec.companyfacts(cik).body) > len(facts)
    box.faults.change(rates('{"drift": 1}'))
    assert {"close"} == set(_json(polygon.grouped_daily(LAST))["results"][0]) - set(bars[0])
    assert b'"val"' not in sec.companyfacts(cik).body


def test_lots_repeat_with_the_seed_and_fail_no_request_three_times_in_a_row():
    given = rates('{"429": 0.5, "5xx": 0.3}')
    drawn = [[Faults(seed, given).draw(f"GET /{n}") for n in range(200)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    faults = Faults(3, given)
    for number in range(100):
        assert not all(faults.draw(f"GET /{number}") for _ in range(3))


@pytest.mark.parametrize("text", ['{"418": 0.5}', '{"429": 2}', '{"429": 0.9, "5xx": 0.9}', "nonsense"])
def test_rates_that_make_no_sense_are_refused(text):
    with pytest.raises(ValueError, match="faults"):
        rates(text)


# -- recorded --------------------------------------------------------------------------------------------------------


@pytest.fixture
def recorded_folder(tmp_path: Path) -> Path:
    """A folder of the recordings' layout, with made-up companies and most folders missing."""
    folder = tmp_path / "recordings"
    files = {
        "data.sec.gov/api/xbrl/companyfacts/CIK0000000007.json.gz": b'{"cik": 7,  "facts": {}}',
        "data.sec.gov/submissions_merged/CIK0000000007.json.gz": b'{"cik": "7", "filings": {"files": []}}',
        "www.sec.gov/files/company_tickers.json.gz": b'{"0": {"cik_str": 7, "ticker": "SEV-B", "title": "Seven"}}',
        "www.sec.gov/Archives/edgar/daily-index/form.20160104.idx.gz": b"Form Type   Company\n-----\n",
        "prices/stocks/SEV-B.csv.gz": b"Date,Open,High,Low,Close,Volume,OpenInt\n"
        b"2016-01-04,1,2,0.5,1.5,100,0\n2016-01-05,1.5,2,1,1.25,200,0\n",
        "prices/stocks/OLD.csv": b"Date,Open,High,Low,Close,Volume,OpenInt\n2015-06-01,9,9,9,9,9,0\n",
    }
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
    return folder


def test_recorded_answers_are_the_files_untouched_and_prices_become_grouped_bars(recorded_folder, monkeypatch):
    with running(Sandbox(open_market("recorded", recordings=recorded_folder), mode="recorded")) as url:
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        sec, polygon = open_hook("sec_edgar", None), open_hook("polygon", None)
        assert sec.companyfacts(7).body == b'{"cik": 7,  "facts": {}}'
        assert sec.submissions(7).body.startswith(b'{"cik": "7", "filings"')
        assert sec.daily_index(date(2016, 1, 4)).body.startswith(b"Form Type")
        answer = polygon.grouped_daily(date(2016, 1, 5))
        assert answer.answered_at == datetime(2016, 1, 5, 23, 5, tzinfo=UTC)  # the evening of the last recorded day
        grouped = _json(answer)
        assert grouped["adjusted"] is True  # though adjusted=false was asked: that is what the recordings are
        assert grouped["results"] == [
            {"T": "SEV.B", "v": 200.0, "o": 1.5, "c": 1.25, "h": 2.0, "l": 1.0, "t": 1452027600000}
        ]  # t: 2016-01-05 16:00 New York
        (active,) = (_json(page)["results"] for page in polygon.tickers(True))
        assert [(row["ticker"], row["cik"], row["name"]) for row in active] == [("SEV.B", "0000000007", "Seven")]
        (gone,) = (_json(page)["results"] for page in polygon.tickers(False))
        assert [(row["ticker"], row["delisted_utc"]) for row in gone] == [("OLD", "2015-06-01T00:00:00Z")]
        said = httpx.get(f"{url}/_sandbox/market").json()
        assert (said["first_session"], said["last_session"]) == ("2015-06-01", "2016-01-05")
        assert _json(next(polygon.splits(date(2010, 1, 1), LAST)))["results"] == []
        for ask in (open_hook("reference", None).sp500, lambda: sec.companyfacts(8)):
            with pytest.raises(NotFound):
                ask()
        assert httpx.get(f"{url}/_sandbox/fortune500.csv").status_code == 404


def test_an_empty_folder_of_recordings_is_fine(tmp_path):
    with running(Sandbox(open_market("recorded", recordings=tmp_path), mode="recorded")) as url:
        said = httpx.get(f"{url}/_sandbox/market").json()
        assert (said["companies"], said["first_session"], said["last_session"]) == (0, None, None)


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_says_when_it_is_ready_and_where(tmp_path):
    command = [sys.executable, "-m", "closingbell.sandbox", "--companies", "20", "--port-file", str(tmp_path / "port")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("sandbox ready: http://127.0.0.1:")
            port = (tmp_path / "port").read_text().strip()
            answer = httpx.get(f"http://127.0.0.1:{port}/_sandbox/health")
            assert answer.json() == {"ok": True}
            assert parsedate_to_datetime(answer.headers["date"]) == datetime(2025, 12, 5, 23, 5, tzinfo=UTC)
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mode", "recorded", "--recordings", "/nowhere/at/all"], "no such folder"),
        (["--faults", '{"x": 1}'], "faults"),
        (["--clock", "2025-12-01"], "no time zone"),
    ],
)
def test_the_command_ends_with_one_line_when_it_cannot_start(arguments, said):
    ended = subprocess.run(
        [sys.executable, "-m", "closingbell.sandbox", *arguments], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_bad_answer_is_what_a_page_in_place_of_a_csv_is(sandbox, monkeypatch):
    url, _ = sandbox
    host = {"conn_type": "http", "host": f"{url}/www.sec.gov", "extra": {"sp500_path": "no/such"}}
    monkeypatch.setenv("AIRFLOW_CONN_REFERENCE", json.dumps(host))
    with pytest.raises((BadAnswer, AuthFailed)):
        open_hook("reference", None).sp500()
