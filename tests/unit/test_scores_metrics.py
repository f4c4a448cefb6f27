"""Which row a metric reads, and when it reads none: as known at the close, stale, split, across a sign change."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from random import Random

import polars as pl
import pytest

from closingbell.scores import compute, standing
from fixtures import plain_board

SESSION = date(2024, 3, 4)
CLOSE = datetime(2024, 3, 4, 21, tzinfo=UTC)
CLOSES = {SESSION: CLOSE}
SCHEMAS = {
    "financials": compute.FINANCIALS, "valuations": compute.VALUATIONS, "indicators": compute.INDICATORS,
    "splits": compute.SPLITS, "splits_known": compute.SPLITS_KNOWN, "consensus": standing.CONSENSUS,
    "insiders": standing.INSIDERS, "ownership": standing.OWNERSHIP, "sentiment": standing.SENTIMENT,
}  # fmt: skip


def frame(schema, *rows: dict) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row")


def frames(**rows: Iterable[dict]) -> dict[str, pl.DataFrame]:
    """The frames of metrics_from, empty where no rows are given."""
    assert rows.keys() <= SCHEMAS.keys()
    return {name: frame(schema, *rows.get(name, ())) for name, schema in SCHEMAS.items()}


def listed(*ids: int, session: date = SESSION) -> pl.DataFrame:
    rows = [
        {"security_id": i, "session": session, "cik": i // 1000, "sector_assumed": False, "close": 50.0,
         "files_form_4": True}
        for i in ids
    ]  # fmt: skip
    return frame(compute.UNIVERSE, *rows)


def statement(period_end: date, period_type: str = "TTM", *, filed_after: int = 30, cik: int = 1, **values) -> dict:
    known = values.pop("known_at", None)
    filed = known.date() if known else period_end + timedelta(days=filed_after)
    return {
        "cik": cik, "period_end": period_end, "period_type": period_type, "known_on": filed,
        "known_at": known or datetime(filed.year, filed.month, filed.day, 12, tzinfo=UTC), "currency": "USD", **values,
    }  # fmt: skip


def metrics(
    *statements: dict, universe=None, closes=CLOSES, **rows: Iterable[dict]
) -> dict[tuple[int, str], tuple[float, list]]:
    """{(security_id, metric): (raw, source key)} of one session; rows by the name of the frame that has them.

    Every split is known where nothing else is said.
    """
    universe = listed(1001) if universe is None else universe
    ever = [{"security_id": id_, "known_from": date(1990, 1, 1)} for id_ in universe["security_id"].unique()]
    found = compute.metrics_from(
        universe, **frames(**{"splits_known": ever} | rows, financials=statements), closes=closes
    )
    assert dict(found.schema) == dict(compute.METRIC_ROWS)
    return {
        (id_, name): (raw, json.loads(key))
        for id_, name, raw, key in found.select("security_id", "metric", "raw", "source_key").iter_rows()
    }


def raws(found: dict, security_id: int = 1001) -> dict[str, float]:
    return {name: raw for (id_, name), (raw, _) in found.items() if id_ == security_id}


# the two quarter ends make it a company that reports by the quarter
EARLIER = statement(date(2023, 9, 30), "Q")


def test_the_version_known_at_the_close_is_read():
    quarter = date(2023, 12, 31)
    found = metrics(
        EARLIER,
        statement(quarter, net_margin=0.1),
        statement(quarter, net_margin=0.2, known_at=CLOSE - timedelta(minutes=1)),
        statement(quarter, net_margin=0.3, known_at=CLOSE + timedelta(minutes=1)),
        statement(date(2024, 2, 29), net_margin=0.9, known_at=CLOSE + timedelta(minutes=1)),
    )
    assert found == {(1001, "net_margin"): (0.2, ["financials", 1, "2023-12-31", "TTM", "2024-03-04"])}
    # known exactly at the close is known
    assert raws(metrics(EARLIER, statement(quarter, net_margin=0.4, known_at=CLOSE))) == {"net_margin": 0.4}


def test_late_restatement_of_an_old_period_does_not_replace_the_newest():
    found = metrics(
        statement(date(2023, 9, 30), net_margin=0.5, known_at=CLOSE - timedelta(hours=1)),
        statement(date(2023, 12, 31), net_margin=0.1),
    )
    assert raws(found) == {"net_margin": 0.1}


def test_each_metric_is_read_from_its_statement():
    end = date(2023, 12, 31)
    found = metrics(
        EARLIER,
        statement(end, "TTM", gross_margin=0.4, roe=0.2, roa=0.1, shareholders_equity=5.0, interest_coverage=7.0,
                  debt_to_equity=99.0),
        statement(end, "Q", debt_to_equity=0.8, current_ratio=1.5, gross_margin=99.0, interest_coverage=99.0),
        statement(end, "FY", gross_margin=98.0, debt_to_equity=98.0),
    )  # fmt: skip
    assert raws(found) == {
        "gross_margin": 0.4, "roe": 0.2, "roa": 0.1, "interest_coverage": 7.0, "debt_to_equity": 0.8,
        "current_ratio": 1.5,
    }  # fmt: skip
    assert found[1001, "debt_to_equity"][1] == ["financials", 1, "2023-12-31", "Q", "2024-01-30"]


@pytest.mark.parametrize(("yields", "kept"), [
    # Apple of 2014-05-15 with a thousandth of its shares (0001193125-14-157311)
    ({"earnings_yield": 74.3, "book_yield": 236.8, "sales_yield": 346.9}, {}),
    ({"earnings_yield": -12.0, "book_yield": 14.0, "sales_yield": 18.0}, None),  # a bankrupt's: SunEdison, 2016
])  # fmt: skip
def test_a_yield_that_no_share_can_have_scores_nothing(yields, kept):
    end = date(2023, 12, 31)
    valuation = {
        "security_id": 1001, "session": SESSION, **yields, "statement_period_end": end,
    }  # fmt: skip
    found = raws(metrics(EARLIER, statement(end), valuations=[valuation]))
    assert found == (yields if kept is None else kept)


def test_return_on_negative_equity_is_undefined():
    end = date(2023, 12, 31)
    assert raws(metrics(EARLIER, statement(end, roe=0.5, shareholders_equity=-2.0, roa=0.1))) == {"roa": 0.1}
    assert raws(metrics(EARLIER, statement(end, roe=0.5))) == {"roe": 0.5}


def test_debt_over_a_deficit_is_ranked_and_not_missing():
    """The statements' own ratio is null there, which would spare the company the factor."""
    end = date(2023, 12, 31)
    for debts in ({"short_term_debt": 2.0, "long_term_debt": 6.0}, {"long_term_debt": 8.0}):
        row = statement(end, "Q", shareholders_equity=-4.0, **debts)
        assert raws(metrics(EARLIER, row)) == {"debt_to_equity": -2.0}
    assert raws(metrics(EARLIER, statement(end, "Q", shareholders_equity=-4.0))) == {}  # its debt is not known


@pytest.mark.parametrize(("age", "scores"), [(200, True), (201, False)])
def test_a_company_that_stopped_filing_scores_nothing(age, scores):
    end = SESSION - timedelta(days=age)
    rows = (
        statement(end - timedelta(days=92), "Q", current_ratio=1.0),
        statement(end, "Q", current_ratio=2.0),
        statement(end, net_margin=0.1, revenue=2.0),
        statement(end - timedelta(days=1096), revenue=1.0),
    )
    valuation = {
        "security_id": 1001, "session": SESSION, "earnings_yield": 0.05, "statement_period_end": end,
    }  # fmt: skip
    found = raws(metrics(*rows, valuations=[valuation]))
    assert set(found) == ({"current_ratio", "net_margin", "revenue_growth", "earnings_yield"} if scores else set())


@pytest.mark.parametrize(("age", "scores"), [(500, True), (501, False)])
def test_a_company_that_reports_by_the_year_is_fresh_for_longer(age, scores):
    end = SESSION - timedelta(days=age)
    found = metrics(statement(end - timedelta(days=365), "FY", net_margin=0.2), statement(end, "FY", net_margin=0.1))
    assert raws(found) == ({"net_margin": 0.1} if scores else {})


def test_a_valuation_on_stale_statements_scores_nothing():
    """The newest quarter is fresh, but the valuation rests on one that is not."""
    valuation = {"security_id": 1001, "session": SESSION, "earnings_yield": 0.05}
    for end, expected in ((date(2023, 12, 31), {"earnings_yield": 0.05}), (date(2023, 6, 30), {})):
        row = valuation | {"statement_period_end": end}
        assert raws(metrics(EARLIER, statement(date(2023, 12, 31)), valuations=[row])) == expected


def test_growth_is_over_five_years_and_three_where_five_are_missing():
    end, five, three = date(2023, 12, 31), date(2018, 12, 31), date(2020, 12, 31)
    rows = [EARLIER, statement(end, revenue=200.0), statement(three, revenue=150.0), statement(five, revenue=100.0)]
    found = metrics(*rows)
    # 1826 days are 1826 / 365.25 = 4.99932 years: 2 ** (1 / 4.99932) - 1
    assert found[1001, "revenue_growth"][0] == pytest.approx(2 ** (365.25 / 1826) - 1, abs=1e-12)
    assert found[1001, "revenue_growth"][1] == [
        "financials", 1, "2023-12-31", "TTM", "2024-01-30", "2018-12-31", "TTM", "2019-01-30",
    ]  # fmt: skip
    assert raws(metrics(*rows[:3]))["revenue_growth"] == pytest.approx((4 / 3) ** (365.25 / 1095) - 1, abs=1e-12)
    assert raws(metrics(*rows[:2])) == {}


def test_growth_follows_years_that_end_on_moving_dates():
    """A 52/53-week year: 2023-12-30 against 2018-12-29; a changed fiscal year end is no anniversary."""
    end = statement(date(2023, 12, 30), revenue=121.0)
    assert raws(metrics(EARLIER, end, statement(date(2018, 12, 29), revenue=100.0)))["revenue_growth"] > 0.03
    assert raws(metrics(EARLIER, end, statement(date(2018, 11, 30), revenue=100.0))) == {}


@pytest.mark.parametrize(("now", "then"), [(5.0, -5.0), (-5.0, 5.0), (-5.0, -10.0), (0.0, 5.0), (5.0, 0.0)])
def test_growth_across_a_sign_change_is_undefined(now, then):
    rows = (statement(date(2023, 12, 31), free_cash_flow=now), statement(date(2018, 12, 31), free_cash_flow=then))
    three = statement(date(2020, 12, 31), free_cash_flow=1.0)  # the five-year row is there: three do not stand in
    assert raws(metrics(EARLIER, *rows, three)) == {}


def test_growth_in_two_currencies_is_undefined():
    before = statement(date(2018, 12, 31), revenue=1.0) | {"currency": "EUR"}
    assert raws(metrics(EARLIER, statement(date(2023, 12, 31), revenue=2.0), before)) == {}


def test_growth_takes_the_year_where_the_quarter_lacks_the_item():
    found = metrics(
        EARLIER,
        statement(date(2023, 12, 31)),
        statement(date(2023, 9, 30), "FY", eps_diluted=2.0),
        statement(date(2020, 9, 30), "FY", eps_diluted=1.0),
    )
    assert found[1001, "eps_growth"][1][2:4] == ["2023-09-30", "FY"]


def test_growth_takes_the_years_of_a_company_whose_first_filings_tell_no_twelve_months_between():
    """Alphabet, first filing in 2015, on 2017-11-10: TTM of 2014-09-30 is not to be had, fiscal 2013 is."""
    found = metrics(
        EARLIER,
        statement(date(2024, 3, 31), revenue=9.0),
        statement(date(2023, 12, 31), "FY", revenue=8.0),
        statement(date(2020, 12, 31), "FY", revenue=4.0),
    )
    assert found[1001, "revenue_growth"][1][2:4] == ["2023-12-31", "FY"]


def test_a_year_counts_for_growth_while_the_company_is_fresh():
    """Earnings a share of four quarters are seldom to be had: the year that ended 339 days before tells."""
    year = [statement(date(n, 3, 31), "FY", eps_diluted=eps) for n, eps in ((2023, 2.0), (2020, 1.0))]
    assert set(raws(metrics(EARLIER, statement(date(2023, 12, 31), "Q"), *year))) == {"eps_growth"}
    stopped = [statement(date(2023, month, 30), "Q") for month in (4, 7)]  # 218 days before the session
    assert raws(metrics(*stopped, *year)) == {}


def test_eps_is_compared_on_one_split_basis():
    """NVDA: 4:1 on 2021-07-20 and 10:1 on 2024-06-10. Fiscal 2019 (filed 2019-02-21) EPS 6.63, fiscal 2024 (filed
    2024-02-21) EPS 11.93, both diluted and as filed; on 2024-06-10's basis 0.16575 and 1.193."""
    before, after = date(2024, 6, 7), date(2024, 6, 10)
    rows = [
        statement(date(2023, 10, 29), "Q"),
        statement(date(2024, 1, 28), eps_diluted=11.93, known_at=datetime(2024, 2, 21, 21, 36, tzinfo=UTC)),
        statement(date(2019, 1, 27), eps_diluted=6.63, known_at=datetime(2019, 2, 21, 21, 37, tzinfo=UTC)),
    ]
    splits = [
        {"security_id": 1001, "ex_date": date(2021, 7, 20), "numerator": 4.0, "denominator": 1.0, "kind": "split"},
        {"security_id": 1001, "ex_date": after, "numerator": 10.0, "denominator": 1.0, "kind": "split"},
        {"security_id": 2001, "ex_date": date(2022, 1, 3), "numerator": 3.0, "denominator": 1.0, "kind": "split"},
        {"security_id": 1001, "ex_date": date(2022, 1, 3), "numerator": 9.0, "denominator": 8.0, "kind": "spin_off"},
    ]
    expected = (11.93 / (6.63 / 4)) ** (365.25 / 1827) - 1
    for session in (before, after):  # the split of the session itself changes both sides
        closes = {session: datetime(session.year, session.month, session.day, 20, tzinfo=UTC)}
        found = metrics(*rows, universe=listed(1001, session=session), splits=splits, closes=closes)
        assert raws(found)["eps_growth"] == pytest.approx(expected, abs=1e-12)
    # known again later, but the figure is still that of the old filing: its basis counts, not the row's filing day
    rows[2] |= {"known_on": date(2021, 8, 20), "eps_filed_on": date(2019, 2, 21)}
    assert raws(metrics(*rows, splits=splits))["eps_growth"] == pytest.approx(expected, abs=1e-12)
    # filed on the new basis already (on its first day): adjusted once, not twice
    rows[2] |= {"eps_filed_on": date(2021, 7, 20)}
    assert raws(metrics(*rows, splits=splits))["eps_growth"] == pytest.approx(
        (11.93 / 6.63) ** (365.25 / 1827) - 1, abs=1e-12
    )


@pytest.mark.parametrize(
    ("known_from", "known"),
    [(date(2014, 3, 1), True), (date(2015, 1, 30), True), (date(2015, 1, 31), False), (None, False)],
)
def test_eps_growth_is_missing_where_a_split_between_the_filings_may_be_unknown(known_from, known):
    """NKE: 2:1 on 2015-12-24. Loaded from 2016 on, fiscal 2012's EPS of before it would pass for 2017's basis."""
    rows = [
        EARLIER,
        statement(date(2023, 12, 31), eps_diluted=2.51, revenue=2.0),
        statement(date(2018, 12, 31), eps_diluted=4.73, revenue=1.0, known_at=datetime(2015, 1, 30, 12, tzinfo=UTC)),
    ]
    found = raws(metrics(*rows, splits_known=[{"security_id": 1001, "known_from": known_from}]))
    assert set(found) == ({"revenue_growth", "eps_growth"} if known else {"revenue_growth"})
    assert set(raws(metrics(*rows, splits_known=[]))) == {"revenue_growth"}
    # both figures out of one filing are on one basis, whatever split came before or after
    rows[2] |= {"eps_filed_on": rows[1]["known_on"]}
    assert "eps_growth" in raws(metrics(*rows, splits_known=[]))


def test_two_share_classes_read_the_statements_of_their_company():
    found = metrics(EARLIER, statement(date(2023, 12, 31), net_margin=0.1), universe=listed(1001, 1002, 2001))
    assert sorted(found) == [(1001, "net_margin"), (1002, "net_margin")]


def test_technical_metrics():
    row = {
        "security_id": 1001, "session": SESSION, "close": 50.0, "rsi_14": 72.0, "macd_histogram": 0.25, "sma_50": 55.0,
        "adx_14": 30.0, "return_1m": 0.01, "return_3m": -0.02, "return_6m": 0.03,
    }  # fmt: skip
    found = metrics(indicators=[row])
    assert raws(found) == {
        "rsi_distance": 12.0, "macd_histogram": 0.005, "trend_strength": -30.0, "return_1m": 0.01, "return_3m": -0.02,
        "return_6m": 0.03,
    }  # fmt: skip
    assert found[1001, "rsi_distance"][1] == ["technical_indicators", 1001, "2024-03-04"]
    # an impossible RSI and a price of zero score nothing
    assert raws(metrics(indicators=[row | {"rsi_14": 130.0, "close": 0.0}])).keys() == {
        "return_1m", "return_3m", "return_6m", "trend_strength",
    }  # fmt: skip


def test_another_session_and_another_security_are_not_read():
    other = {"close": 1.0, "rsi_14": 50.0}
    assert not metrics(
        indicators=[
            {"security_id": 1001, "session": SESSION + timedelta(days=1), **other},
            {"security_id": 2001, "session": SESSION, **other},
        ]
    )


def test_sessions_at_once_equal_sessions_one_by_one():
    days = [date(2024, 2, 1), date(2024, 2, 29), SESSION]
    closes = {day: datetime(day.year, day.month, day.day, 21, tzinfo=UTC) for day in days}
    inputs = {
        "financials": frame(
            compute.FINANCIALS,
            *(
                statement(date(2018 + n // 4, 3 * (n % 4) + 3, 30), kind, cik=cik, revenue=1.0 + n * cik,
                          eps_diluted=1.0 + n, net_margin=n / 100, current_ratio=n / 10)
                for n in range(24) for kind in ("Q", "TTM") for cik in (1, 2)
            ),
            statement(date(2023, 12, 30), revenue=7.0, net_margin=0.5, known_at=closes[days[1]]),
        ),
        "valuations": frame(
            compute.VALUATIONS,
            *({"security_id": 1001, "session": d, "book_yield": 0.3, "statement_period_end": date(2023, 9, 30)}
              for d in days),
        ),
        "indicators": frame(
            compute.INDICATORS, *({"security_id": i, "session": d, "rsi_14": 41.5} for i in (1001, 2001) for d in days)
        ),
        "splits": frame(
            compute.SPLITS,
            {"security_id": 2001, "ex_date": date(2022, 1, 3), "numerator": 3.0, "denominator": 2.0, "kind": "split"},
            {"security_id": 2001, "ex_date": days[1], "numerator": 1.0, "denominator": 7.0, "kind": "split"},
        ),
        "splits_known": frame(compute.SPLITS_KNOWN, {"security_id": 2001, "known_from": date(2010, 1, 4)}),
    }  # fmt: skip
    universe = pl.concat([listed(1001, 2001, session=day) for day in days])
    inputs = frames() | inputs
    together = compute.metrics_from(universe, **inputs, closes=closes)
    alone = [compute.metrics_from(universe.filter(session=day), **inputs, closes={day: closes[day]}) for day in days]
    assert together.equals(pl.concat(alone))
    shuffled = {name: rows.sample(fraction=1.0, shuffle=True, seed=5) for name, rows in inputs.items()}
    mixed = compute.metrics_from(universe.sample(fraction=1.0, shuffle=True, seed=6), **shuffled, closes=closes)
    expected, got = (compute.scores(universe, rows, closes) for rows in (together, mixed))
    assert got[0].equals(expected[0])
    assert got[1].equals(expected[1])


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"price_splits: column\(s\) \['ex_date'\] are missing"):
        compute.metrics_from(
            listed(1001), **frames() | {"splits": frame(compute.SPLITS).drop("ex_date")}, closes=CLOSES
        )


# -- against a plain, slow implementation of the choice of rows


FIGURES = [name for name, dtype in compute.FINANCIALS.items() if dtype == pl.Float64]


def history(random: Random, cik: int) -> tuple[list[dict], list[dict], list[dict]]:
    """A company's rows, many missing, some restated around the close, its quarter ends off by days; its splits; and
    since when they are known."""
    rows, kinds = {}, random.choice([["Q", "TTM"], ["Q", "TTM", "FY"], ["FY"]])
    step, stopped = (365.25 if kinds == ["FY"] else 91.3125), random.choice([0, 0, 0, 1, 2, 5])
    numbers = [None, -2.0, 0.0, *(n / 7 for n in range(1, 40))]
    for n in range(stopped - 1, 2600 // int(step)):
        for kind in kinds * 2:  # a version, perhaps two
            if random.random() < 0.55:
                end = SESSION - timedelta(days=round(30 + step * n) + random.choice([0, 0, 0, 0, 1, -6, 19]))
                after = timedelta(days=random.choice([20, 45, 400]))
                known = datetime(end.year, end.month, end.day, tzinfo=UTC) + after
                if random.random() < 0.1:
                    known = CLOSE + timedelta(minutes=random.choice([-1, 0, 1]))
                values = {name: random.choice(numbers) for name in FIGURES}
                if random.random() < 0.3:
                    values["eps_filed_on"] = known.date() - timedelta(days=random.choice([0, 90, 365]))
                row = statement(end, kind, cik=cik, known_at=known, **values)
                rows[kind, end, row["known_on"]] = row
    splits = [
        {"security_id": cik * 1000 + 1, "ex_date": SESSION - timedelta(days=random.choice([-1, 0, 1, 300, 900, 1900])),
         "numerator": random.choice([1.0, 2.0, 3.0]), "denominator": random.choice([1.0, 2.0, 7.0]),
         "kind": random.choice(["split", "split", "spin_off"])}
        for _ in range(random.choice([0, 0, 1, 2]))
    ]  # fmt: skip
    since = random.choice([None, *(SESSION - timedelta(days=days) for days in (400, 900, 1500, 9000, 9000, 9000))])
    return list(rows.values()), splits, [{"security_id": cik * 1000 + 1, "known_from": since}]


def test_the_choice_of_rows_equals_the_slow_implementation():
    random = Random(29)
    companies = {cik: history(random, cik) for cik in range(1, 601)}
    statements, splits, splits_known = ([row for of in companies.values() for row in of[n]] for n in range(3))
    found = metrics(
        *statements,
        splits=splits,
        splits_known=splits_known,
        universe=listed(*(cik * 1000 + 1 for cik in companies)),
    )
    plainly = plain_board.metrics(
        {
            "universe": [{"security_id": cik * 1000 + 1, "cik": cik, "files_form_4": True} for cik in companies],
            "financials": statements,
            "splits": splits,
            "splits_known": splits_known,
        },
        SESSION,
        CLOSE,
    )
    expected = {(id_, name): value for id_, own in plainly.items() for name, value in own.items()}
    assert {at: key for at, (_, key) in found.items()} == {at: key for at, (_, key) in expected.items()}
    assert max(abs(raw - expected[at][0]) for at, (raw, _) in found.items()) < 1e-9
    # the random companies do have every metric, and lack it
    counts = Counter(name for _, name in found)
    assert all(100 < counts[name] < 550 for name in ("net_margin", "current_ratio", "revenue_growth", "eps_growth"))
