"""Price answers of every vendor to bars and actions, and what a wrong answer says."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closingbell.prices import parse
from closingbell.sessions import NEW_YORK, close_of, sessions_between

SESSION = date(2024, 3, 7)
ANSWERED = date(2024, 3, 8)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def grouped(results: list[dict], **more) -> bytes:
    count = len(results)
    answer = {"adjusted": False, "queryCount": count, "resultsCount": count, "status": "OK", "request_id": "x"}
    return json.dumps({**answer, "results": results, **more}).encode()


def bar(ticker: str = "A", session: date = SESSION, **more) -> dict:
    row = {"T": ticker, "o": 147.09, "h": 149.64, "l": 147.09, "c": 149.31, "v": 1942872, "vw": 148.7, "n": 37404}
    return {**row, "t": milliseconds(close_of(session)), **more}


def test_grouped_daily_is_bars_of_the_session_asked():
    parsed = parse.polygon_grouped_daily(grouped([bar(), bar("BRK.B")]), answered_on=ANSWERED, session=SESSION)
    assert parsed.bars["ticker"].to_list() == ["A", "BRK.B"]
    assert parsed.bars["session"].unique().to_list() == [SESSION]
    assert parsed.bars["adjusted_as_of"].to_list() == [None, None]
    assert parsed.bars.schema == parse.BARS


def test_volumes_may_be_fractional_from_2026():
    parsed = parse.polygon_grouped_daily(grouped([bar(v=25933.625)]), answered_on=ANSWERED, session=SESSION)
    assert parsed.bars["volume"][0] == 25933.625


def test_an_early_close_is_its_own_session():
    """2024-11-29 closed at 13:00 New York: 18:00 UTC, not 21:00."""
    friday = date(2024, 11, 29)
    assert close_of(friday) == datetime(2024, 11, 29, 18, tzinfo=UTC)
    parsed = parse.polygon_grouped_daily(grouped([bar(session=friday)]), answered_on=friday, session=friday)
    assert parsed.bars["session"][0] == friday


@pytest.mark.parametrize("session", [date(2024, 3, 8), date(2024, 3, 11), date(2024, 11, 1), date(2024, 11, 4)])
def test_a_bar_keeps_its_day_across_both_clock_changes(session):
    parsed = parse.polygon_grouped_daily(grouped([bar(session=session)]), answered_on=session, session=session)
    assert parsed.bars["session"][0] == session
    midnight = datetime(session.year, session.month, session.day, tzinfo=NEW_YORK)
    header = "ticker,volume,open,close,high,low,window_start,transactions"
    text = f"{header}\nA,1,2,2,2,2,{int(midnight.timestamp())}000000000,1\n"
    assert parse.polygon_day_aggregates(text.encode()).bars["session"][0] == session


def test_an_answer_that_says_adjusted_keeps_the_day_it_was_given():
    parsed = parse.polygon_grouped_daily(grouped([bar()], adjusted=True), answered_on=ANSWERED, session=SESSION)
    assert parsed.bars["adjusted_as_of"].to_list() == [ANSWERED]


def test_no_trade_by_omission_is_no_row():
    parsed = parse.polygon_grouped_daily(grouped([bar("A")]), answered_on=ANSWERED, session=SESSION)
    assert parsed.bars["ticker"].to_list() == ["A"]


def test_a_day_without_results_is_an_empty_frame():
    body = b'{"adjusted": false, "queryCount": 0, "resultsCount": 0, "status": "OK", "request_id": "x"}'
    assert parse.polygon_grouped_daily(body, answered_on=ANSWERED, session=SESSION).bars.is_empty()


def test_counts_that_do_not_fit_the_results_are_an_error():
    with pytest.raises(ValueError, match=r"polygon grouped_daily 2024-03-07: 1 results where it counts resultsCount 2"):
        parse.polygon_grouped_daily(grouped([bar()], resultsCount=2), answered_on=ANSWERED, session=SESSION)


def test_a_cut_body_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="polygon grouped_daily 2024-03-07: the body is not JSON"):
        parse.polygon_grouped_daily(grouped([bar()])[:-30], answered_on=ANSWERED, session=SESSION)


def test_bars_of_another_day_are_an_error():
    with pytest.raises(ValueError, match=r"bars of other days .* in column t"):
        parse.polygon_grouped_daily(grouped([bar()]), answered_on=ANSWERED, session=date(2024, 3, 6))


def test_unknown_and_missing_columns_are_named_with_vendor_and_endpoint():
    with pytest.raises(ValueError, match="polygon grouped_daily 2024-03-07: column q is unknown"):
        parse.polygon_grouped_daily(grouped([bar(q=1)]), answered_on=ANSWERED, session=SESSION)
    without = bar()
    del without["c"]
    with pytest.raises(ValueError, match="polygon grouped_daily 2024-03-07: column c is missing"):
        parse.polygon_grouped_daily(grouped([without]), answered_on=ANSWERED, session=SESSION)
    with pytest.raises(ValueError, match="polygon day_aggregates: column transactions is missing"):
        parse.polygon_day_aggregates(b"ticker,volume,open,close,high,low,window_start\nA,1,2,2,2,2,1\n")


def test_bad_bars_pass_and_numbers_that_are_none_become_null_and_are_listed():
    body = grouped([bar("A", h=1.0), bar("B", c=None), bar("C", v=float("nan")), bar("D", o=float("inf")), bar(None)])
    parsed = parse.polygon_grouped_daily(body, answered_on=ANSWERED, session=SESSION)
    assert parsed.bars["ticker"].to_list() == ["A", "B", "C", "D"]
    assert [parsed.bars[at, name] for at, name in ((1, "close"), (2, "volume"), (3, "open"))] == [None] * 3
    assert parsed.problems["key"].to_list() == [*(f"{ticker} 2024-03-07" for ticker in "BCD"), "? 2024-03-07"]


@pytest.mark.parametrize(
    ("changed", "column"),
    [
        ({"adjusted": "false"}, "adjusted"),  # a string is true
        ({"resultsCount": None}, "resultsCount"),
        ({"queryCount": "1"}, "queryCount"),
        ({"results": {"T": "A"}}, "results"),
    ],
)
def test_an_envelope_of_other_types_is_an_error_that_names_the_column(changed, column):
    body = json.dumps(json.loads(grouped([bar()])) | changed).encode()
    with pytest.raises(ValueError, match=f"polygon grouped_daily 2024-03-07: column {column} is"):
        parse.polygon_grouped_daily(body, answered_on=ANSWERED, session=SESSION)


def test_preferred_and_when_issued_tickers_never_become_other_companies():
    """Garbage tickers (polygon-io/issues#138): KIMpL is Kimco's preferred L; upper-cased it would be another ticker."""
    body = grouped([bar("KIMpL"), bar("KIM"), bar("ABCw"), bar("XYZ.WS"), bar("ZVZZT")])
    parsed = parse.polygon_grouped_daily(body, answered_on=ANSWERED, session=SESSION)
    assert parsed.bars["ticker"].to_list() == ["KIM.PL", "KIM", "ABC.WI", "XYZ.WS", "ZVZZT"]


def test_the_real_flat_file_row_of_2024_03_07():
    """A row as the vendor publishes it; window_start is ns at midnight in New York."""
    text = (
        "ticker,volume,open,close,high,low,window_start,transactions\n"
        "A,1942872,147.09,149.31,149.64,147.09,1709787600000000000,37404\n"
    )
    for body in (text.encode(), gzip.compress(text.encode())):
        row = parse.polygon_day_aggregates(body).bars.row(0, named=True)
        assert (row["ticker"], row["session"], row["close"], row["volume"]) == ("A", SESSION, 149.31, 1942872.0)


def tiingo_day(day: str, **more) -> dict:
    bar = {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 1000, "divCash": 0.0, "splitFactor": 1.0}
    adjusted = {name: 1.0 for name in ("adjOpen", "adjHigh", "adjLow", "adjClose", "adjVolume")}
    return {"date": f"{day}T00:00:00.000Z", **bar, **adjusted, **more}


def test_tiingo_gives_unadjusted_bars_and_the_actions_of_the_day():
    rows = [
        tiingo_day("2020-08-28"),
        tiingo_day("2020-08-31", splitFactor=4.0),
        tiingo_day("2020-11-06", divCash=0.205),
    ]
    parsed = parse.tiingo_daily(json.dumps(rows).encode(), ticker="aapl")
    assert parsed.bars["close"].to_list() == [10.5] * 3
    assert parsed.bars["adjusted_as_of"].null_count() == 3
    split, dividend = parsed.actions.to_dicts()
    assert (split["ticker"], split["ex_date"], split["numerator"], split["denominator"]) == (
        "AAPL",
        date(2020, 8, 31),
        4,
        1,
    )
    assert (dividend["kind"], dividend["amount"], dividend["currency"]) == ("dividend", 0.205, "USD")


def test_tiingos_reverse_splits_are_exact():
    parsed = parse.tiingo_daily(json.dumps([tiingo_day("2024-03-18", splitFactor=0.05)]).encode(), ticker="X")
    assert parsed.actions.select("numerator", "denominator").row(0) == (1.0, 20.0)
    third = parse.tiingo_daily(json.dumps([tiingo_day("2024-03-18", splitFactor=0.3333333333)]).encode(), ticker="X")
    assert third.actions.select("numerator", "denominator").row(0) == (1.0, 3.0)


def test_tiingos_all_tickers_answer_names_its_tickers():
    rows = [{"ticker": "brk-b", **tiingo_day("2024-03-07")}, {"ticker": "a", **tiingo_day("2024-03-07", divCash=0.2)}]
    parsed = parse.tiingo_daily(json.dumps(rows).encode())
    assert parsed.bars["ticker"].to_list() == ["BRK.B", "A"]
    assert parsed.actions["ticker"].to_list() == ["A"]


def test_of_all_tickers_newest_days_only_the_sessions_count():
    rows = [{"ticker": "a", **tiingo_day("2024-03-07")}, {"ticker": "gone", **tiingo_day("2019-01-02", divCash=1.0)}]
    parsed = parse.tiingo_daily(json.dumps(rows).encode(), session=SESSION)
    assert (parsed.bars["ticker"].to_list(), parsed.actions.height) == (["A"], 0)


def test_tiingos_numbers_that_are_none_are_no_actions_and_a_day_that_is_none_is_no_bar():
    rows = [
        tiingo_day("2024-03-05", divCash=float("nan")),
        tiingo_day("2024-03-06", splitFactor=float("inf")),
        tiingo_day("not a day"),
    ]
    parsed = parse.tiingo_daily(json.dumps(rows).encode(), ticker="A")
    assert (parsed.bars.height, parsed.actions.height) == (2, 0)
    assert parsed.problems["problem"].to_list() == ["no_key"]


def yahoo(
    days: list[date], closes: list[float | None], splits: dict[date, tuple[float, float]], dividends=None
) -> bytes:
    def stamp(day: date) -> int:
        return int(datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK).timestamp())

    events: dict = {
        "splits": {
            str(stamp(d)): {"date": stamp(d), "numerator": n, "denominator": m, "splitRatio": f"{n}:{m}"}
            for d, (n, m) in splits.items()
        },
        "dividends": {str(stamp(d)): {"date": stamp(d), "amount": a} for d, a in (dividends or {}).items()},
    }
    quote = {name: closes for name in ("open", "high", "low", "close")}
    quote["volume"] = [None if c is None else 1000 for c in closes]
    result = {
        "meta": {"symbol": "AAPL", "currency": "USD"}, "timestamp": [stamp(d) for d in days], "events": events,
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": closes}]},
    }  # fmt: skip
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


def test_yahoos_split_adjusted_bars_are_put_back_as_traded():
    """AAPL closed at 499.23 on 2020-08-28, 4:1 on the 31st; Yahoo serves 124.80750274658203 (a 32-bit float)."""
    days = [date(2020, 8, 28), date(2020, 8, 31)]
    body = yahoo(days, [124.80750274658203, 129.0399932861328], {date(2020, 8, 31): (4, 1)}, {date(2020, 8, 7): 0.205})
    parsed = parse.yahoo_chart(body, answered_on=date(2024, 1, 2), ticker="AAPL")
    assert parsed.bars["close"].to_list() == [499.23, 129.04]
    assert parsed.bars["volume"].to_list() == [250.0, 1000.0]
    assert parsed.bars["adjusted_as_of"].null_count() == 2
    # Apple paid $0.82 a share in August 2020, 0.205 on today's basis
    assert parsed.actions.filter(pl.col("kind") == "dividend")["amount"].to_list() == [0.82]


def test_yahoo_asked_for_an_old_range_cannot_be_undone_and_says_so():
    body = yahoo([date(2020, 8, 28)], [124.8075], {})
    parsed = parse.yahoo_chart(body, answered_on=date(2024, 1, 2), asked_to=date(2020, 8, 28), ticker="AAPL")
    assert parsed.bars["adjusted_as_of"].to_list() == [date(2024, 1, 2)]


def test_yahoos_empty_days_are_no_bars():
    body = yahoo([date(2024, 3, 6), date(2024, 3, 7)], [None, 10.0], {})
    assert parse.yahoo_chart(body, answered_on=ANSWERED).bars["session"].to_list() == [date(2024, 3, 7)]


def test_possibly_delisted_is_an_error_and_no_delisting():
    body = b'{"chart": {"result": null, "error": {"code": "Not Found", "description": "symbol may be delisted"}}}'
    with pytest.raises(ValueError, match="no evidence of delisting"):
        parse.yahoo_chart(body, answered_on=ANSWERED, ticker="XYZ")


def test_yahoos_bars_in_another_currency_are_refused():
    body = yahoo([SESSION], [10.0], {}).replace(b'"USD"', b'"GBp"')
    with pytest.raises(ValueError, match=r"bars in GBp \(meta.currency\)"):
        parse.yahoo_chart(body, answered_on=ANSWERED)


TRADED = sessions_between(date(2024, 1, 2), date(2024, 2, 15))


@settings(max_examples=100, deadline=None)
@given(
    prices=st.lists(st.integers(100, 500_000), min_size=len(TRADED), max_size=len(TRADED)),
    splits=st.dictionaries(
        st.sampled_from(TRADED[1:]),
        st.sampled_from([(2, 1), (3, 2), (4, 1), (1, 10), (20, 1), (7, 1), (1, 8)]),
        max_size=3,
    ),
)
def test_undoing_yahoos_adjustment_gives_back_every_cent(prices, splits):
    import numpy as np

    traded = [cents / 100 for cents in prices]
    served = []
    for day, price in zip(TRADED, traded, strict=True):
        factor = Fraction(1)
        for ex_date, (n, m) in splits.items():
            if ex_date > day:
                factor *= Fraction(n, m)
        served.append(float(np.float32(price / float(factor))))
    parsed = parse.yahoo_chart(yahoo(TRADED, served, splits), answered_on=ANSWERED)
    assert parsed.bars["close"].to_list() == traded


def test_an_operators_csv_is_adjusted_as_of_its_last_day_unless_said():
    body = b"Date,Open,High,Low,Close,Volume,OpenInt\n2017-11-09,1,2,0.5,1.5,100,0\n2017-11-10,1,2,0.5,1.5,100,0\n"
    parsed = parse.bars_csv(body, ticker="BRK-B")
    assert parsed.bars["adjusted_as_of"].unique().to_list() == [date(2017, 11, 10)]
    assert parsed.bars["ticker"].unique().to_list() == ["BRK.B"]
    later = parse.bars_csv(body, ticker="BRK-B", adjusted_as_of=date(2018, 1, 2))
    assert later.bars["adjusted_as_of"].unique().to_list() == [date(2018, 1, 2)]
    with pytest.raises(ValueError, match="operator bars_csv X: column Volume is missing"):
        parse.bars_csv(b"Date,Open,High,Low,Close\n2017-11-09,1,2,0.5,1.5\n", ticker="X")


def test_polygon_actions_of_a_page():
    splits = {
        "status": "OK",
        "results": [{"ticker": "AAPL", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4}],
    }
    row = parse.polygon_splits(json.dumps(splits).encode()).actions.row(0, named=True)
    assert (row["ex_date"], row["numerator"], row["denominator"]) == (date(2020, 8, 31), 4.0, 1.0)
    dividend = {
        "cash_amount": 0.22, "currency": "USD", "declaration_date": "2021-10-28", "dividend_type": "CD",
        "ex_dividend_date": "2021-11-05", "frequency": 4, "id": "E8", "pay_date": "2021-11-11",
        "record_date": "2021-11-08", "ticker": "AAPL",
    }  # fmt: skip
    row = parse.polygon_dividends(json.dumps({"status": "OK", "results": [dividend]}).encode()).actions.row(
        0, named=True
    )
    assert (row["amount"], row["declared_on"], row["dividend_type"]) == (0.22, date(2021, 10, 28), "CD")
    assert parse.polygon_splits(b'{"status": "OK", "results": []}').actions.is_empty()
    with pytest.raises(ValueError, match="polygon splits: column results is missing"):
        parse.polygon_splits(b'{"status": "ERROR", "request_id": "x"}')
