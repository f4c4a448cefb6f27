"""Audit of closingbell.ic_scores: the published scale, ratings and confidence agree with the numbers."""

from closingbell.audits.rules import COMPUTED_COMPLETE, COMPUTED_FULL, TableAudit

FACTORS = (
    "value", "growth", "profitability", "financial_health", "momentum", "analyst_consensus", "insider_activity",
    "institutional", "news_sentiment", "technical",
)  # fmt: skip
RATING = (
    "CASE WHEN overall_score >= 80 THEN 'Strong Buy' WHEN overall_score >= 65 THEN 'Buy' "
    "WHEN overall_score >= 50 THEN 'Hold' WHEN overall_score >= 35 THEN 'Underperform' ELSE 'Sell' END"
)

AUDIT = TableAudit(
    row_rules={
        "score_on_scale": "overall_score BETWEEN 1 AND 100",
        "rating_of_score": f"rating = {RATING}",
        "factors_on_scale": " AND ".join(f"{factor} BETWEEN 0 AND 100" for factor in FACTORS),
        "completeness_is_a_share": "data_completeness BETWEEN 0 AND 1.000001",
        "confidence_known": "confidence IN ('High', 'Medium', 'Low')",
        "rank_within_sector": "sector_rank BETWEEN 1 AND sector_size",
    },
    expectations=(COMPUTED_COMPLETE, COMPUTED_FULL),
)
