"""Percentiles, factors and scores: by hand, against a plain slow implementation, and at every boundary."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closingbell.scores import board, compute
from closingbell.scores.factors import FACTORS, METRICS, MIN_PEERS
from fixtures import plain_scores

MONDAY, TUESDAY = date(2024, 3, 4), date(2024, 3, 5)
CLOSES = {MONDAY: datetime(2024, 3, 4, 21, tzinfo=UTC), TUESDAY: datetime(2024, 3, 5, 21, tzinfo=UTC)}


def universe_of(sectors: dict[int, str | None], session: date = MONDAY) -> pl.DataFrame:
    return pl.DataFrame(
        [(id_, session, id_ * 10, sector, False, None, True) for id_, sector in sectors.items()],
        schema=compute.UNIVERSE,
        orient="row",
    )


def metrics_of(values: dict[str, dict[int, float]], session: date = MONDAY) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (id_, session, metric, raw, json.dumps(["technical_indicators", id_, str(session)]))
            for metric, row in values.items()
            for id_, raw in row.items()
        ],
        schema=compute.METRIC_ROWS,
        orient="row",
    )


def test_weights_are_the_declared_ones():
    assert {factor.name: factor.weight for factor in FACTORS} == {
        "value": 12, "growth": 15, "profitability": 12, "financial_health": 10, "momentum": 8,
        "analyst_consensus": 10, "insider_activity": 8, "institutional": 10, "news_sentiment": 7, "technical": 8,
    }  # fmt: skip
    assert sum(factor.weight for factor in FACTORS) == 100
    assert sum(len(factor.metrics) for factor in FACTORS) == len(METRICS)


def test_a_score_by_hand():
    # four securities, no sector: the market ranks. roe 1, 2, 2, 4: ranks 1, 2.5, 2.5, 4 of 4
    # -> (rank - 0.5) / 4 * 100 = 12.5, 50, 50, 87.5. debt_to_equity of 1 and 2 only, less is better: 0.5 beats 3.
    scores, inputs = compute.scores(
        universe_of({1: None, 2: None, 3: None, 4: None, 5: None}),
        metrics_of({"roe": {1: 1.0, 2: 2.0, 3: 2.0, 4: 4.0}, "debt_to_equity": {1: 0.5, 2: 3.0}}),
        CLOSES,
    )
    rows = {row["security_id"]: row for row in scores.iter_rows(named=True)}
    assert list(rows) == [1, 2, 3, 4]  # 5 has no factor at all and is not published
    assert compute.unscored(universe_of({1: None, 5: None}), scores)["security_id"].to_list() == [5]
    # 1: (12 * 12.5 + 10 * 75) / 22 = 900 / 22 = 40.909; 2: (12 * 50 + 10 * 25) / 22 = 38.636
    assert [rows[i]["overall_score"] for i in rows] == [40.91, 38.64, 50.0, 87.5]
    assert [rows[i]["rating"] for i in rows] == ["Underperform", "Underperform", "Hold", "Strong Buy"]
    assert [rows[i]["data_completeness"] for i in rows] == [0.22, 0.22, 0.12, 0.12]
    assert rows[1]["confidence"] == "Low"
    assert rows[1]["known_at"] == CLOSES[MONDAY]
    assert rows[3]["financial_health"] is None
    assert rows[1]["growth"] is None
    assert rows[1]["sector_rank"] is None
    assert json.loads(inputs["inputs"][0]) == {
        "debt_to_equity": [0.5, "market", 2, 75.0, ["technical_indicators", 1, "2024-03-04"]],
        "roe": [1.0, "market", 4, 12.5, ["technical_indicators", 1, "2024-03-04"]],
    }


def test_rank_and_percentile_stand_within_the_sector():
    sectors = {1: "Energy", 2: "Energy", 3: "Energy", 4: "Energy", 5: "Utilities", 6: None}
    scores, _ = compute.scores(
        universe_of(sectors), metrics_of({"roa": {1: 5.0, 2: 9.0, 3: 5.0, 4: 1.0, 5: 7.0, 6: 6.0}}), CLOSES
    )
    rows = scores.rows_by_key("security_id", named=True, unique=True)
    assert [rows[i]["sector_rank"] for i in rows] == [2, 1, 2, 4, 1, None]
    assert [rows[i]["sector_size"] for i in rows] == [4, 4, 4, 4, 1, None]
    assert [rows[i]["sector_percentile"] for i in rows] == [50.0, 87.5, 50.0, 12.5, 50.0, None]


def test_few_peers_are_ranked_in_the_market():
    big = {i: "Energy" for i in range(1, MIN_PEERS + 1)}
    small = {100 + i: "Utilities" for i in range(MIN_PEERS)}
    values = {i: float(i) for i in big | small}
    _, inputs = compute.scores(universe_of(big | small), metrics_of({"roa": values}), CLOSES)
    assert {json.loads(text)["roa"][1] for text in inputs["inputs"]} == {"Energy", "Utilities"}
    values.pop(100)  # one utility does not have it: nine peers are too few, for this metric only
    _, inputs = compute.scores(
        universe_of(big | small), metrics_of({"roa": values, "roe": {i: 1.0 for i in small}}), CLOSES
    )
    groups = {id_: json.loads(text) for id_, text in zip(inputs["security_id"], inputs["inputs"], strict=True)}
    assert groups[1]["roa"][1:3] == ["Energy", 10]
    assert groups[101]["roa"][1:3] == ["market", 19]
    assert groups[101]["roe"][1:3] == ["Utilities", 10]


def test_debt_over_negative_equity_is_no_little_debt():
    _, inputs = compute.scores(
        universe_of({1: None, 2: None, 3: None, 4: None}),
        metrics_of({"debt_to_equity": {1: -0.1, 2: 0.0, 3: 8.0, 4: -30.0}}),
        CLOSES,
    )
    # 0.0 best of four, 8.0 next, the two negative ones tie behind
    assert [json.loads(text)["debt_to_equity"][3] for text in inputs["inputs"]] == [25.0, 87.5, 62.5, 25.0]


def test_minus_zero_ties_with_zero():
    for metric in ("roa", "debt_to_equity"):
        _, inputs = compute.scores(universe_of({1: None, 2: None}), metrics_of({metric: {1: -0.0, 2: 0.0}}), CLOSES)
        assert [json.loads(text)[metric][3] for text in inputs["inputs"]] == [50.0, 50.0]


@pytest.mark.parametrize(
    ("overall", "stored", "rating"),
    [
        (49.995, 49.99, "Underperform"),  # a double just below: 50.0 where rounding multiplies by 100 first
        (79.995, 80.0, "Strong Buy"),  # a double just above; the unrounded score would be a Buy
        (79.99499999999999, 79.99, "Buy"),
        (80.0, 80.0, "Strong Buy"),
        (65.0, 65.0, "Buy"),
        (64.994, 64.99, "Hold"),
        (64.996, 65.0, "Buy"),
        (49.99, 49.99, "Underperform"),
        (50.0, 50.0, "Hold"),
        (35.0, 35.0, "Underperform"),
        (34.99, 34.99, "Sell"),
        (0.25, 1.0, "Sell"),
        (100.0, 100.0, "Strong Buy"),
    ],
)
def test_the_rating_is_that_of_the_stored_score(overall, stored, rating):
    frame = pl.DataFrame({"score": compute._rounded(pl.Series("score", [overall]))})
    assert frame["score"].to_list() == [stored]
    assert frame.select(compute._rating(pl.col("score"))).item() == rating


@pytest.mark.parametrize(
    ("missing", "completeness", "confidence"),
    [
        ((), 1.0, "High"),
        (("momentum",), 0.92, "High"),
        (("financial_health",), 0.90, "Medium"),  # above 90 %, not at it
        (("growth", "momentum", "news_sentiment"), 0.70, "Medium"),  # 70 % itself is Medium
        (("growth", "value", "news_sentiment"), 0.66, "Low"),
    ],
)
def test_confidence_at_its_boundaries(monkeypatch, missing, completeness, confidence):
    # every factor declared with one metric, so that any weight can be present
    from dataclasses import replace

    some = list(METRICS.values())
    declared = tuple(replace(factor, metrics=(some[at],)) for at, factor in enumerate(FACTORS))
    monkeypatch.setattr(compute, "FACTORS", declared)
    values = {f.metrics[0].name: {1: 0.5} for f in declared if f.name not in missing}
    scores, _ = compute.scores(universe_of({1: None}), metrics_of(values), CLOSES)
    assert scores["data_completeness"].item() == completeness
    assert scores["confidence"].item() == confidence
    assert scores["overall_score"].item() == 50.0


# -- against a plain, slow implementation


@st.composite
def markets(draw):
    count = draw(st.integers(1, 45))
    sectors = {i: draw(st.sampled_from(["Energy", "Health Care", 'Odd "name"\\', None])) for i in range(1, count + 1)}
    number = st.one_of(st.integers(0, 4).map(float), st.floats(0, 60, allow_nan=False), st.floats(-1, 0))
    values = {}
    for name, metric in METRICS.items():
        low, high = -1.0 if metric.low is None else metric.low, 60.0 if metric.high is None else metric.high
        row = draw(st.dictionaries(st.integers(1, count + 3), number, max_size=count))
        values[name] = {i: min(max(v, low), high) for i, v in row.items()}
    return sectors, values


@settings(max_examples=20, deadline=None)
@given(markets(), st.randoms())
def test_the_engine_equals_the_slow_implementation(market, random):
    sectors, values = market
    universe, metrics = universe_of(sectors), metrics_of(values)
    scores, inputs = compute.scores(universe, metrics, CLOSES)
    expected = plain_scores.scores(sectors, values)
    rows = scores.rows_by_key("security_id", named=True, unique=True)
    assert list(rows) == sorted(expected)
    for id_, row in rows.items():
        assert row["overall_score"] == pytest.approx(max(1, expected[id_]["overall"]), abs=0.005 + 1e-9)
        assert row["data_completeness"] == pytest.approx(expected[id_]["weight"], abs=1e-9)
        for name, factor in expected[id_]["factors"].items():
            assert row[name] == (None if factor is None else pytest.approx(factor, abs=1e-9))
    for id_, text in inputs.select("security_id", "inputs").iter_rows():
        evidence = json.loads(text)
        assert {m: tuple(e[:3]) for m, e in evidence.items()} == {m: e[:3] for m, e in expected[id_]["inputs"].items()}
        for metric, entry in evidence.items():
            assert entry[3] == pytest.approx(expected[id_]["inputs"][metric][3], abs=1e-9)
    # the order of rows is nothing, and two sessions at once are the same bytes as each alone, to the last bit
    tuesday = metrics[sorted(random.sample(range(metrics.height), metrics.height // 2))]
    days = [(universe, metrics), tuple(f.with_columns(session=pl.lit(TUESDAY)) for f in (universe, tuesday))]
    alone = [compute.scores(*day, CLOSES) for day in days]
    order = list(range(metrics.height + tuesday.height))
    random.shuffle(order)
    listed, rows = (pl.concat([day[at] for day in days]) for at in (0, 1))
    for at, together in enumerate(compute.scores(listed[::-1], rows[order], CLOSES)):
        assert together.equals(pl.concat([day[at] for day in alone]))


def test_sums_are_made_in_declared_order_whatever_the_cores():
    """`sum_horizontal` gave 3 results in 200 runs with 23,000 rows on 2 cores, and others on 1 core and on 4."""
    random = Random(3)
    ids = range(1, 40)
    values = {
        name: {i: max(metric.low or 0, 0) + random.random() / 2 for i in ids if random.random() < 0.8}
        for name, metric in METRICS.items()
    }
    scores, inputs = compute.scores(universe_of(dict.fromkeys(ids)), metrics_of(values), CLOSES)
    percentiles = {id_: json.loads(text) for id_, text in inputs.select("security_id", "inputs").iter_rows()}
    for row in scores.iter_rows(named=True):
        for factor in FACTORS:
            ranks = [percentiles[row["security_id"]].get(metric.name) for metric in factor.metrics]
            found, total = [rank[3] for rank in ranks if rank], 0.0
            for percentile in found:
                total += percentile
            assert row[factor.name] == (total / len(found) if found else None)  # to the last bit


# -- inputs that are refused


def test_wrong_inputs_are_refused_by_name():
    universe = universe_of({1: None})
    good = metrics_of({"roa": {1: 1.0}})
    with pytest.raises(ValueError, match=r"metrics: \['profit'\] are not declared"):
        compute.scores(universe, good.with_columns(metric=pl.lit("profit")), CLOSES)
    for bad in (None, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="1 values are null, not finite or outside"):
            compute.scores(universe, good.with_columns(raw=pl.lit(bad, pl.Float64)), CLOSES)
    with pytest.raises(ValueError, match="outside the bounds"):
        compute.scores(universe, metrics_of({"current_ratio": {1: -0.5}}), CLOSES)
    with pytest.raises(ValueError, match=r"metrics: .* is not unique"):
        compute.scores(universe, pl.concat([good, good]), CLOSES)
    with pytest.raises(ValueError, match=r"universe: .* is not unique"):
        compute.scores(pl.concat([universe, universe]), good, CLOSES)
    with pytest.raises(ValueError, match=r"no close is given for .*2024-03-04"):
        compute.scores(universe, good, {TUESDAY: CLOSES[TUESDAY]})
    with pytest.raises(ValueError, match=r"score_universe: column\(s\) \['sector'\] are missing"):
        compute.scores(universe.drop("sector"), good, CLOSES)


def test_an_empty_session_scores_nothing():
    scores, inputs = compute.scores(universe_of({}), metrics_of({}), CLOSES)
    assert (scores.height, inputs.height) == (0, 0)
    assert list(scores.columns) == list(compute.IC_SCORES)


# -- the board


def test_the_board_fits_a_terminal_and_says_what_is_missing():
    scores, _ = compute.scores(
        universe_of({1: "Energy", 2: None}).with_columns(sector_assumed=pl.col("sector").is_not_null()),
        metrics_of({"roe": {1: 1.0, 2: 2.0}, "return_1m": {1: 0.5}}),
        CLOSES,
    )
    rows = scores.with_columns(
        ticker=pl.Series(["XOM", None], dtype=pl.String),
        name=pl.Series(["A company with a name that is far too long", "Two"]),
    )
    text = board.text(rows, MONDAY, limit=1, simulated=True)
    assert "session 2024-03-04: 2 securities scored (SIMULATED)" in text
    assert max(map(len, text.splitlines())) <= 120
    assert "... and 1 more" in text
    # 2 has no ticker, so its number; roe 2.0 of two is 75; XOM: (12 * 25 + 8 * 50) / 20 = 35
    lines = board.text(rows, MONDAY).splitlines()
    assert lines[4].split() == ["1", "2", "Two", "75.00", *"--", "75", *"-------", "12%", "Buy"]
    assert lines[5].split()[:2] == ["2", "XOM*"]
    assert lines[5].split()[-13:] == ["35.00", *"--", "25", "-", "50", *"-----", "20%", "Underperform"]
    assert "1 Buy, 0 Hold, 1 Underperform" in lines[7]
    assert "No scores for 2024-03-05" in board.text(rows.clear(), TUESDAY)
