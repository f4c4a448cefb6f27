"""Why a score is another than the session before: each metric's part of the change, in points; the parts add up to it.

In: the two rows of ic_scores and score_inputs. A score is the mean of its metrics' percentiles, each with the weight
that its factor's share leaves it (factors without data leave the mean, and metrics share their factor). With p the
percentile and v the weight of a metric, and b the middle between the two scores, its part is

    v_after * (p_after - b) - v_before * (p_before - b)

A metric that has no data has no weight. These parts add up to the change, as the weights add up to one; a metric whose
weight stayed has v * (p_after - p_before); one that came raises the score where it stands above it, and not because it
came; and the way back has the same parts, reversed (Bennet's decomposition of 1920, of quantities about a mean).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

import polars as pl

from closingbell.scores.factors import FACTORS, METRICS

Inputs = Mapping[str, list[Any]]
"""score_inputs.inputs, decoded: {metric: [raw, peer group, peers, percentile, source key]}."""

CHANGES: dict[str, Any] = {
    "factor": pl.String,
    "metric": pl.String,
    "part": pl.Float64,
    "raw_before": pl.Float64,
    "raw_after": pl.Float64,
    "percentile_before": pl.Float64,
    "percentile_after": pl.Float64,
    "weight_before": pl.Float64,
    "weight_after": pl.Float64,
    "peer_group_before": pl.String,
    "peer_group_after": pl.String,
    "peers_before": pl.Int64,
    "peers_after": pl.Int64,
}
"""part: points, in hundredths as scores are. weight_*: percent of the score that the metric decided. peer_group_*,
peers_*: among whom it was ranked, and how many they were. Null before: it had no data; null after: it has none. A
last row without factor and metric: what the lowest score, 1, added or took."""

LOWEST = Fraction(1)


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A score and the one before it.

    parts: rows `CHANGES`; evidence: {metric: filings, ratings and articles that it stands on and did not before, those
    known last first, as dicts of kind, key, known_at, and total (how many there are)}; stale: why the score is older
    than what it is made of, empty where it is not.
    """

    ticker: str
    name: str | None
    session: date
    before: date
    score: float
    score_before: float
    rating: str
    rating_before: str
    parts: pl.DataFrame
    evidence: Mapping[str, list[dict[str, Any]]]
    stale: Sequence[str] = ()

    @property
    def points(self) -> float:
        """What the parts add up to."""
        return round(self.score - self.score_before, 2)


def changes(before: Inputs, after: Inputs, *, score_before: float, score_after: float) -> pl.DataFrame:
    """CHANGES of one security between two sessions, the largest part first.

    The parts are rounded so that, as decimals, they add up to score_after - score_before (overall_score of the two
    sessions). Raises ValueError for a session without metrics or with one that is not declared, and for scores that the
    inputs do not make.
    """
    weights = _weights(before), _weights(after)
    values = _values(before), _values(after)
    overall = [_overall(*side) for side in zip(weights, values, strict=True)]
    for name, score, made in zip(("before", "after"), (score_before, score_after), overall, strict=True):
        if abs(max(LOWEST, made) - Fraction(score)) > Fraction("0.0051"):
            raise ValueError(f"changes: the inputs {name} make {float(made):.4f}, not the score {score}")
    middle = (overall[0] + overall[1]) / 2

    def standing(side: int, metric: str) -> Fraction:
        weight = weights[side].get(metric)
        return Fraction(0) if weight is None else weight * (values[side][metric] - middle)

    metrics = [metric for metric in METRICS if metric in before or metric in after]
    exact = [standing(1, metric) - standing(0, metric) for metric in metrics]
    lifted = [max(LOWEST, one) - one for one in overall]
    if lifted[0] != lifted[1]:
        exact.append(lifted[1] - lifted[0])
    parts = _rounded(exact, round(score_after * 100) - round(score_before * 100))
    names = [*((_FACTOR_OF[metric], metric) for metric in metrics), (None, None)]
    rows = [
        (factor, metric, hundredths / 100, *_both(before, after, metric, 0), *_both(before, after, metric, 3),
         *(None if (weight := side.get(metric or "")) is None else float(weight * 100) for side in weights),
         *_both(before, after, metric, 1), *_both(before, after, metric, 2))
        for (factor, metric), hundredths in zip(names, parts, strict=False)
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema=CHANGES, orient="row")
    return frame.sort(pl.col("metric").is_null(), pl.col("part").abs(), descending=[False, True], maintain_order=True)


def text(changed: Changed) -> str:
    """Why the score changed, for a terminal: the parts that are not 0.00, the largest first."""
    told = [
        f"{changed.ticker} {changed.name or ''}".strip(),
        f"{changed.session}: {changed.score:.2f} {changed.rating}; {changed.before}: {changed.score_before:.2f} "
        f"{changed.rating_before}; {changed.points:+.2f}",
        *([stale(changed.stale)] if changed.stale else []),
        "",
        f"{'Points':>7} {'Metric':<22} {'Value':<24} {'Percentile':<14} {'Of the score':<14} New evidence",
        "-" * 118,
    ]
    moved = changed.parts.filter(pl.col("part") != 0)
    for row in moved.iter_rows(named=True):
        pairs = [
            f"{_shown(row[f'{name}_before'], form)} > {_shown(row[f'{name}_after'], form)}"
            for name, form in (("raw", ".5g"), ("percentile", ".1f"), ("weight", ".1f"))
        ]
        told.append(
            f"{row['part']:>+7.2f} {row['metric'] or 'lowest score':<22} {pairs[0]:<24} {pairs[1]:<14} "
            f"{pairs[2]:<14} {newest(changed.evidence.get(row['metric'] or '', []))}".rstrip()
        )
        groups = row["peer_group_before"], row["peer_group_after"]
        if None not in groups and groups[0] != groups[1]:  # the sector has peers enough now, or too few
            told.append(
                f"{'':>7} ranked of {row['peers_before']} in {groups[0]} > of {row['peers_after']} in {groups[1]}"
            )
    if rest := changed.parts.height - moved.height:
        told.append(f"{rest} other metrics moved it by less than 0.01 each")
    return "\n".join(told) + "\n"


def stale(reasons: Sequence[str]) -> str:
    """That a score is older than what it is made of, and why, for a terminal."""
    return f"Stale: {'; '.join(reasons)}. reconcile scores sessions of the last 400 days again"


def newest(found: list[dict[str, Any]]) -> str:
    """The first of new filings, ratings or articles, with when it became known, and how many more there are."""
    if not found:
        return ""
    first, more = found[0], found[0]["total"] - 1
    return f"{first['kind']} {first['key']}, {first['known_at']:%Y-%m-%d %H:%M} UTC" + (
        f" and {more} more" * bool(more)
    )


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


_FACTOR_OF = {metric.name: factor.name for factor in FACTORS for metric in factor.metrics}


def _weights(inputs: Inputs) -> dict[str, Fraction]:
    """Each metric's share of the score; they add up to 1."""
    if unknown := set(inputs) - set(METRICS):
        raise ValueError(f"changes: {sorted(unknown)} are not declared in scores/factors.py")
    present = [
        (factor.weight, names) for factor in FACTORS if (names := [m.name for m in factor.metrics if m.name in inputs])
    ]
    if not present:
        raise ValueError("changes: a session without metrics has no score")
    total = sum(weight for weight, _ in present)
    return {name: Fraction(weight, total * len(names)) for weight, names in present for name in names}


def _values(inputs: Inputs) -> dict[str, Fraction]:
    return {metric: Fraction(entry[3]) for metric, entry in inputs.items()}


def _overall(weights: Mapping[str, Fraction], values: Mapping[str, Fraction]) -> Fraction:
    return sum((weight * values[metric] for metric, weight in weights.items()), Fraction(0))


def _rounded(exact: list[Fraction], total: int) -> list[int]:
    """Hundredths that add up to `total`: each part rounded down, what is left to the largest remainders."""
    floors = [int(part * 100 // 1) for part in exact]
    each, more = divmod(total - sum(floors), len(floors))
    order = sorted(range(len(exact)), key=lambda at: floors[at] - exact[at] * 100)
    given = set(order[:more])
    return [floor + each + (at in given) for at, floor in enumerate(floors)]


def _both(before: Inputs, after: Inputs, metric: str | None, place: int) -> tuple[Any, Any]:
    first, second = (side[metric][place] if metric and metric in side else None for side in (before, after))
    return first, second
