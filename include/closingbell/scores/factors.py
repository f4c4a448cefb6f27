"""The ten factors and their metrics, declared: what each reads, which way is better, what it may be, how old, and why.

Nothing here computes. `compute.metrics_from` evaluates a metric's expression on the rows of its source, and
`compute.scores` ranks what it finds, so that a new factor is a declaration, and rows from its room.
Growth is compound annual rates over days / 365.25; value is yields, not multiples (a negative P/E means nothing, E/P
does).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from closingbell.fundamentals.compute import STALE_AFTER_DAYS, STALE_YEAR_AFTER_DAYS

MIN_PEERS = 10
"""Fewer peers than this in a sector, and a metric is ranked in the market. A percentile moves in steps of 100 / peers:
below ten, one company more or less moves everybody by over ten points, two thirds of a rating's band of fifteen."""

STALE_DAYS = {"quarters": STALE_AFTER_DAYS, "years": STALE_YEAR_AFTER_DAYS}
"""Age, from period end, beyond which a company's statements score nothing (a company may stop filing), by how often it
reports; half years count as years."""

LOOKED_BACK_DAYS = 1000
"""How far before the session those two are looked for; a company with one statement passes for a quarterly one."""

GROWTH_YEARS = (5, 3)
"""Horizons of growth; the second stands in where the company has no row that long before."""

GROWTH_SLACK_DAYS = 20
"""How far the earlier year may end from the exact anniversary: 52/53-week years move their end by up to a week a year,
and a company's year that moves by a month is another year."""


class Source(StrEnum):
    """The rows a metric is read from; the first element of its source key is their table."""

    VALUATION = "valuation_ratios"  # of the session
    TECHNICAL = "technical_indicators"  # of the session
    FLOWS = "newest TTM row, the FY row for companies without quarters"
    BALANCE = "newest Q row, the FY row for companies without quarters"
    GROWTH = "newest TTM or FY row that has the item, and the one five (else three) years before"
    CONSENSUS = "analyst_consensus"  # of the newest session that the table was made for, as the next two
    INSIDERS = "insider_activity"  # with the session's market value; without a trade in a window that is whole, zeros
    SENTIMENT = "sentiment_daily"
    OWNERSHIP = "institutional_ownership"  # of the newest quarter whose reports are due, as the session knew it


MAX_AGE_DAYS = {Source.CONSENSUS: 5, Source.INSIDERS: 5, Source.SENTIMENT: 5, Source.OWNERSHIP: 150}
"""Age beyond which a row scores nothing: of its session, and for ownership of its quarter's end. Five days bridge a
long weekend and a day without a load. Form 13F is due 45 days after a quarter: after 137 the next one's are there."""

REPORTS_DUE_DAYS = 48
"""From this many days after a quarter its Forms 13F are there: due after 45, moved by a weekend and a holiday (rule
0-3). Before that only the early filers' are, and the quarter before counts."""

FEWEST_FILERS = 0.5
"""A quarter with fewer filers than this part of the quarter before is not loaded: some give a wrong quarter, so that a
handful of reports is there before the data set that has all."""

_OF_STATEMENTS = (
    f"Scores nothing once the statement's period ended more than {STALE_DAYS['quarters']} days ago, "
    f"{STALE_DAYS['years']} where the company reports by the year."
)
STALE_AFTER = {
    Source.TECHNICAL: "Scores on the session it was made for alone.",
    **dict.fromkeys((Source.VALUATION, Source.FLOWS, Source.BALANCE, Source.GROWTH), _OF_STATEMENTS),
    **{
        source: f"Scores nothing once it was made more than {MAX_AGE_DAYS[source]} days ago."
        for source in (Source.CONSENSUS, Source.INSIDERS, Source.SENTIMENT)
    },
    Source.OWNERSHIP: f"Scores nothing once its quarter ended more than {MAX_AGE_DAYS[Source.OWNERSHIP]} days ago.",
}
"""Those limits in words, for a reader."""

COMPARED_DAYS = MAX_AGE_DAYS[Source.OWNERSHIP] + 92
"""Age of the quarters that are compared: one more than may count."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that is ranked among peers.

    value: expression over the source's columns; null where it cannot be said. item: for growth, the column that grows;
    per_share items are brought to the session's split basis. low, high: what the value can be at all; a value beyond
    is an error of its source and scores nothing. negative_is_worst: values below zero tie behind all others. How old
    its rows may be comes with the source, which has them all: `stale_after`.
    """

    name: str
    source: Source
    sentence: str
    value: pl.Expr | None = None
    item: str | None = None
    per_share: bool = False
    higher_is_better: bool = True
    low: float | None = None
    high: float | None = None
    negative_is_worst: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of its source's rows that it is made of."""
        if self.value is None:
            return (self.item,) if self.item else ()
        return tuple(sorted(set(self.value.meta.root_names())))

    @property
    def stale_after(self) -> str:
        """When it is too old to score, as a sentence."""
        return STALE_AFTER[self.source]


@dataclass(frozen=True)
class Factor:
    """A share of the overall score, in percent, and the metrics whose percentiles it is the mean of."""

    name: str
    weight: int
    sentence: str
    metrics: tuple[Metric, ...] = ()


def _of_year(column: str) -> str:
    return f"Compound annual growth of {column} over five years (three where five are missing)."


_DEBT = pl.sum_horizontal("short_term_debt", "long_term_debt")  # 0 where neither is known
_EQUITY = pl.col("shareholders_equity")
_BUYERS = pl.col("buyers_30d")
_ROUNDED = 1.000001  # means of -1 to 1 whose last bit is not to be trusted

FACTORS: tuple[Factor, ...] = (
    Factor(
        "value",
        12,
        "What a dollar of market value buys, against the sector.",
        (
            Metric(
                # beyond these a thousand shares were counted as one: even a bankrupt's sales are 20 times its price
                name="earnings_yield", source=Source.VALUATION, value=pl.col("earnings_yield"), low=-100, high=10,
                sentence="Net income of twelve months to market value; losses rank below every profit.",
            ),
            Metric(
                name="book_yield", source=Source.VALUATION, value=pl.col("book_yield"), low=-100, high=100,
                sentence="Shareholders' equity to market value.",
            ),
            Metric(
                name="sales_yield", source=Source.VALUATION, value=pl.col("sales_yield"), low=-100, high=100,
                sentence="Revenue of twelve months to market value.",
            ),
        ),
    ),
    Factor(
        "growth",
        15,
        "How fast the business has grown, a year.",
        (
            Metric(
                name="revenue_growth", source=Source.GROWTH, item="revenue", low=-1, sentence=_of_year("revenue"),
            ),
            Metric(
                name="eps_growth", source=Source.GROWTH, item="eps_diluted", per_share=True, low=-1,
                sentence=_of_year("diluted earnings a share, on one split basis"),
            ),
            Metric(
                name="fcf_growth", source=Source.GROWTH, item="free_cash_flow", low=-1,
                sentence=_of_year("free cash flow"),
            ),
        ),
    ),
    Factor(
        "profitability",
        12,
        "What is left of sales, and what equity and assets earn.",
        (
            Metric(
                name="gross_margin", source=Source.FLOWS, value=pl.col("gross_margin"),
                sentence="Gross profit to revenue, twelve months; banks have none.",
            ),
            Metric(
                name="operating_margin", source=Source.FLOWS, value=pl.col("operating_margin"),
                sentence="Operating income to revenue, twelve months.",
            ),
            Metric(
                name="net_margin", source=Source.FLOWS, value=pl.col("net_margin"),
                sentence="Net income to revenue, twelve months.",
            ),
            Metric(
                # a loss over negative equity would be a fine return
                name="roe", source=Source.FLOWS,
                value=pl.when(pl.col("shareholders_equity").fill_null(1) > 0).then(pl.col("roe")),
                sentence="Net income to shareholders' equity; undefined where equity is not positive.",
            ),
            Metric(
                name="roa", source=Source.FLOWS, value=pl.col("roa"), sentence="Net income to total assets.",
            ),
        ),
    ),
    Factor(
        "financial_health",
        10,
        "Whether debts can be borne.",
        (
            Metric(
                # the statements' ratio is null on a deficit; debt over a deficit is no missing number, but the worst
                name="debt_to_equity", source=Source.BALANCE, higher_is_better=False, negative_is_worst=True,
                value=pl.coalesce(
                    "debt_to_equity",
                    pl.when((_EQUITY < 0) & (_DEBT > 0)).then(_DEBT / _EQUITY),
                ),
                sentence="Debt to shareholders' equity, less is better; debt over negative equity ranks last.",
            ),
            Metric(
                name="current_ratio", source=Source.BALANCE, value=pl.col("current_ratio"), low=0,
                sentence="Current assets to current liabilities; banks have none.",
            ),
            Metric(
                name="interest_coverage", source=Source.FLOWS, value=pl.col("interest_coverage"),
                sentence="Operating income to interest expense, twelve months.",
            ),
        ),
    ),
    Factor(
        "momentum",
        8,
        "What the share has returned.",
        tuple(
            Metric(
                name=f"return_{months}m", source=Source.TECHNICAL, value=pl.col(f"return_{months}m"), low=-1,
                sentence=f"Return over {months} month{'s' * (months > 1)}, adjusted for splits.",
            )
            for months in (1, 3, 6, 12)
        ),
    ),
    Factor(
        "analyst_consensus",
        10,
        "What analysts recommend, and the price they expect.",
        (
            Metric(
                name="analyst_rating", source=Source.CONSENSUS, value=pl.col("rating_mean"), low=1, high=5,
                sentence="Mean of each firm's last rating of twelve months, 5 strong buy to 1 strong sell.",
            ),
            Metric(
                # twelve times the price is a split that somebody missed
                name="target_upside", source=Source.CONSENSUS, value=pl.col("target_mean") / pl.col("close") - 1,
                low=-1, high=11,
                sentence="The firms' mean price target to the price, less one; both on the session's split basis.",
            ),
            Metric(
                name="analyst_firms", source=Source.CONSENSUS, value=pl.col("firms"), low=1,
                sentence="How many firms rate the share; undefined where less than twelve months are loaded.",
            ),
        ),
    ),
    Factor(
        "insider_activity",
        8,
        "Whether insiders buy on the open market.",
        (
            *(
                Metric(
                    name=f"insider_buying_{days}d", source=Source.INSIDERS, low=-1, high=1,
                    # without a price one side of the net would be missing
                    value=pl.when(pl.col(f"unpriced_{days}d") == 0).then(
                        pl.col(f"net_value_{days}d") / pl.col("market_cap")
                    ),
                    sentence=f"What insiders bought less what they sold on the open market in {days} days, to market "
                    "value; 0 where nobody traded, undefined where less is loaded or a trade has no price.",
                )
                for days in (30, 90)
            ),
            Metric(
                name="insider_buyers", source=Source.INSIDERS, value=_BUYERS * (_BUYERS > 1).cast(pl.Int64), low=0,
                sentence="Insiders who bought on the open market within 30 days; one alone is no cluster and counts 0.",
            ),
        ),
    ),
    Factor(
        "institutional",
        10,
        "Who holds the shares, and whether they add.",
        (
            Metric(
                # lent shares are reported twice; half of all again is a split that somebody missed
                name="institutional_share", source=Source.OWNERSHIP, value=pl.col("share_owned"), low=0, high=1.5,
                sentence="Part of the shares outstanding that institutions report (Form 13F) for the quarter.",
            ),
            Metric(
                name="institutional_change", source=Source.OWNERSHIP,
                value=pl.col("compared_shares") / pl.col("shares_before") - 1, low=-1,
                sentence="Change of the shares held in the quarter, over institutions that reported both quarters.",
            ),
            Metric(
                name="institutional_holders", source=Source.OWNERSHIP, value=pl.col("holders"), low=0,
                sentence="How many institutions report the share.",
            ),
        ),
    ),
    Factor(
        "news_sentiment",
        7,
        "How the news reads.",
        tuple(
            Metric(
                name=f"news_sentiment_{days}d", source=Source.SENTIMENT, value=pl.col(f"sentiment_{days}d"),
                low=-_ROUNDED, high=_ROUNDED,
                sentence=f"Mood of the news of {days} days, -1 to 1: the sources' means by their weights; undefined "
                "without an article.",
            )
            for days in (7, 30)
        ),
    ),
    Factor(
        "technical",
        8,
        "Whether the price is in a healthy rise.",
        (
            Metric(
                # momentum already pays for raw strength; RSI adds where strength ends: in rising markets it swings
                # between 40 and 80 (C. Brown, Technical Analysis for the Trading Professional, "range rules")
                name="rsi_distance", source=Source.TECHNICAL, value=(pl.col("rsi_14") - 60).abs(),
                higher_is_better=False, low=0, high=60,
                sentence="Distance of RSI(14) from 60, the middle of its range in a rise; less is better: "
                "above it the share is overbought, below it sellers lead.",
            ),
            Metric(
                # in dollars a share the histogram would rank expensive shares above cheap ones
                name="macd_histogram", source=Source.TECHNICAL,
                value=pl.when(pl.col("close") > 0).then(pl.col("macd_histogram") / pl.col("close")),
                sentence="MACD(12,26) less its signal(9), to the price: whether the trend quickens.",
            ),
            Metric(
                # ADX measures how strong a trend is, not where it goes; SMA 50 spans about what it looks back on, and
                # a share listed this year has one
                name="trend_strength", source=Source.TECHNICAL,
                value=pl.col("adx_14") * (pl.col("close") - pl.col("sma_50")).sign(), low=-100, high=100,
                sentence="ADX(14), positive above the 50-day average and negative below it.",
            ),
        ),
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for factor in FACTORS for metric in factor.metrics}
