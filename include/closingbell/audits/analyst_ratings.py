"""Audit of closingbell.analyst_ratings: firms' own words on one scale, never guessed.

The parser refuses what it cannot read: the rules unknown_word, unknown_action, not_a_number and no_such_time.
"""

from closingbell.audits.rules import Expect, TableAudit

AUDIT = TableAudit(
    row_rules={
        "rating_on_scale": "rating_numeric BETWEEN 1 AND 5",
        "target_positive": "price_target > 0 AND coalesce(price_target_before > 0, true)",
        "currency_shape": "currency ~ '^[A-Z]{3}$'",
        "known_after_it_was_given": "known_at >= rated_at - interval '1 day'",
        "not_of_the_future": "rated_at <= fetched_at + interval '1 day'",
    },
    expectations=(
        Expect(
            name="nothing_deferred",
            query="audit_nothing_deferred",
            severity="warning",
            todo="the day's requests were not enough for every security: the next run asks for those first",
        ),
        Expect(
            name="ratings_mapped",
            query="audit_ratings_mapped",
            severity="warning",
            todo="many ratings are of tickers that nobody is known to have borne: run universe, then replay",
        ),
    ),
    max_quarantined=0.25,
    few_quarantined=20,  # a day brings few ratings, and one new word may be half of them
)
