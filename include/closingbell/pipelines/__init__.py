"""The pipelines as `Load`s by name; imported by tasks, pods and the command, never by a DAG file."""

from closingbell.pipelines import (
    analyst_consensus,
    analyst_ratings,
    cusips,
    indicators,
    insider_activity,
    insider_trades,
    institutional_holdings,
    institutional_ownership,
    market_close,
    news,
    news_sentiment,
    reconcile,
    scores,
    sec_financials,
    universe,
    valuation_ratios,
)
from closingbell.pipelines.base import Load

LOADS: dict[str, Load] = {
    module.LOAD.name: module.LOAD
    for module in (
        universe,
        sec_financials,
        market_close,
        indicators,
        valuation_ratios,
        scores,
        reconcile,
        analyst_ratings,
        analyst_consensus,
        cusips,
        institutional_holdings,
        institutional_ownership,
    )
} | {
    load.name: load
    for load in (
        insider_trades.LOAD,
        insider_activity.LOAD,
        news.LOAD,
        news.ARTICLES_LOAD,
        news_sentiment.LOAD,
        news_sentiment.DAILY_LOAD,
    )
}
