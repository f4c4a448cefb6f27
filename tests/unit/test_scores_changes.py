"""Why a score changed: by hand, and for any two sessions the parts add up to the change."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closingbell.scores import compute
from closingbell.scores.changes import CHANGES, Changed, changes, text
from closingbell.scores.factors import METRICS

DAYS = [date(2024, 3, 1), date(2024, 3, 4)]


def inputs(**percentiles: float) -> dict[str, list]:
    return {name: [p / 10, "market", 9, p, ["t", 1, "2024-03-04"]] for name, p in percentiles.items()}


def parts(frame: pl.DataFrame) -> dict[str | None, float]:
    return dict(frame.select("metric", "part").iter_rows())


def test_a_metric_that_moved_alone_has_the_whole_change():
    # profitability (12) has roe and roa, momentum (8) one metric: roe weighs 12 / 20 / 2 = 0.3 and moved by 20
    before, after = inputs(roe=40, roa=60, return_1m=50), inputs(roe=60, roa=60, return_1m=50)
    frame = changes(before, after, score_before=50.0, score_after=56.0)
    assert dict(frame.schema) == CHANGES
    assert frame.row(0) == (
        "profitability", "roe", 6.0, 4.0, 6.0, 40.0, 60.0, 30.0, 30.0, "market", "market", 9, 9,
    )  # fmt: skip
    assert parts(frame) == {"roe": 6.0, "roa": 0.0, "return_1m": 0.0}


def test_a_metric_that_came_counts_by_where_it_stands():
    """News at 50 on a score of 50 changes nothing, though it takes weight from the others; at 90 it raises it."""
    before = inputs(roe=50)
    assert parts(changes(before, inputs(roe=50, news_sentiment_7d=50), score_before=50.0, score_after=50.0)) == {
        "roe": 0.0, "news_sentiment_7d": 0.0,
    }  # fmt: skip
    # weights 12 and 7 of 19: (12 * 50 + 7 * 90) / 19 = 64.7368; middle 57.3684
    # news: 7/19 * (90 - 57.3684) = 12.0222; roe: 12/19 * (50 - 57.3684) - (50 - 57.3684) = 2.7147
    frame = changes(before, inputs(roe=50, news_sentiment_7d=90), score_before=50.0, score_after=64.74)
    assert parts(frame) == {"news_sentiment_7d": 12.02, "roe": 2.72}
    assert frame.row(0, named=True)["weight_before"] is None
    # and back again
    back = changes(inputs(roe=50, news_sentiment_7d=90), before, score_before=64.74, score_after=50.0)
    assert parts(back) == {"news_sentiment_7d": -12.02, "roe": -2.72}


def test_the_lowest_score_is_a_part_of_its_own():
    # roe alone at 0.25 is a score of 0.25, which the scale lifts to 1
    frame = changes(inputs(roe=0.25), inputs(roe=20.25), score_before=1.0, score_after=20.25)
    assert parts(frame) == {"roe": 20.0, None: -0.75}


def test_scores_that_the_inputs_do_not_make_are_refused():
    with pytest.raises(ValueError, match=r"the inputs after make 60\.0000, not the score 60\.02"):
        changes(inputs(roe=50), inputs(roe=60), score_before=50.0, score_after=60.02)
    with pytest.raises(ValueError, match="without metrics"):
        changes({}, inputs(roe=60), score_before=50.0, score_after=60.0)
    with pytest.raises(ValueError, match=r"\['profit'\] are not declared"):
        changes(inputs(profit=1), inputs(roe=60), score_before=1.0, score_after=60.0)


@st.composite
def two_sessions(draw):
    """Raw values of a few shares on two sessions; metrics come, go, and often stay."""
    shares = range(1, draw(st.integers(1, 12)) + 1)

    def raw(metric: str) -> float:
        low, high = (-1 if METRICS[metric].low is None else METRICS[metric].low), METRICS[metric].high or 4
        return float(min(max(draw(st.integers(-1, 4)), low), high))

    some = st.sets(st.sampled_from(list(METRICS)))
    first = {(share, metric): raw(metric) for share in shares for metric in draw(some)}
    second = {key: value for key, value in first.items() if draw(st.integers(0, 3))}
    for metric in draw(st.sets(st.sampled_from(list(METRICS)), max_size=5)):
        second[1, metric] = raw(metric)
    return shares, [first, second]


@settings(max_examples=40, deadline=None)
@given(two_sessions())
def test_the_parts_add_up_to_the_change_of_the_published_score(market):
    shares, values = market
    universe = pl.DataFrame(
        [(share, day, share, "Energy", False, None, True) for day in DAYS for share in shares],
        schema=compute.UNIVERSE,
        orient="row",
    )
    rows = [
        (share, day, metric, raw, '["t"]')
        for day, of in zip(DAYS, values, strict=True)
        for (share, metric), raw in of.items()
    ]
    closes = {day: datetime(day.year, day.month, day.day, 21, tzinfo=UTC) for day in DAYS}
    scores, found = compute.scores(universe, pl.DataFrame(rows, schema=compute.METRIC_ROWS, orient="row"), closes)
    score = {(id_, day): value for id_, day, value in scores.select("security_id", "session", "overall_score").rows()}
    of = {(id_, day): json.loads(text) for id_, day, text in found.rows()}
    for share in shares:
        if all((share, day) in of for day in DAYS):
            before, after = (score[share, day] for day in DAYS)
            frame = changes(*(of[share, day] for day in DAYS), score_before=before, score_after=after)
            assert sum(Decimal(str(part)) for part in frame["part"]) == Decimal(str(after)) - Decimal(str(before))
            assert set(frame["metric"].drop_nulls()) == set(of[share, DAYS[0]]) | set(of[share, DAYS[1]])
            for weights in ("weight_before", "weight_after"):
                assert frame[weights].sum() == pytest.approx(100)
            # no part is further than a hundredth from the exact one: what did not move has none to speak of
            same = frame.filter(
                pl.col("percentile_before") == pl.col("percentile_after"),
                pl.col("weight_before") == pl.col("weight_after"),
            )
            assert (same["part"].abs() <= 0.01).all()


def test_the_text_names_the_points_of_each_metric_and_what_became_known():
    before, after = inputs(roe=40, roa=60, return_1m=50), inputs(roe=60, roa=60, return_1m=50)
    filing = {"kind": "filing", "key": "0000000001-24-000001", "known_at": datetime(2024, 3, 1, 22, 3, tzinfo=UTC)}
    found = Changed(
        ticker="ABC", name="Company", session=DAYS[1], before=DAYS[0], score=56.0, score_before=50.0, rating="Hold",
        rating_before="Hold", parts=changes(before, after, score_before=50.0, score_after=56.0),
        evidence={"roe": [filing | {"total": 3}]},
    )  # fmt: skip
    told = text(found).splitlines()
    assert told[:2] == ["ABC Company", "2024-03-04: 56.00 Hold; 2024-03-01: 50.00 Hold; +6.00"]
    assert told[5].split() == [
        "+6.00", "roe", "4", ">", "6", "40.0", ">", "60.0", "30.0", ">", "30.0",
        "filing", "0000000001-24-000001,", "2024-03-01", "22:03", "UTC", "and", "2", "more",
    ]  # fmt: skip
    assert told[6:] == ["2 other metrics moved it by less than 0.01 each"]


def test_a_metric_that_is_ranked_among_others_says_so():
    """The tenth utility has no number any more: the value stays, and the percentile is one of the market."""
    before, after = inputs(roe=80), inputs(roe=55)
    before["roe"][:3] = [after["roe"][0], "Utilities", 10]
    frame = changes(before, after, score_before=80.0, score_after=55.0)
    found = Changed(
        ticker="ABC", name=None, session=DAYS[1], before=DAYS[0], score=55.0, score_before=80.0, rating="Hold",
        rating_before="Strong Buy", parts=frame, evidence={},
    )  # fmt: skip
    assert text(found).splitlines()[6].strip() == "ranked of 10 in Utilities > of 9 in market"
    gone = changes(inputs(roe=80, roa=80), after, score_before=80.0, score_after=55.0).filter(metric="roa")
    assert gone.select("peer_group_before", "peer_group_after", "peers_before").row(0) == ("market", None, 9)
