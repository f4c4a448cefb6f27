"""Audit of closingbell.analyst_consensus."""

from closingbell.audits.rules import TableAudit

AUDIT = TableAudit(
    row_rules={
        "some_firm": "firms > 0",
        "mean_on_scale": "rating_mean BETWEEN 1 AND 5",
        "words_add_up": "firms = strong_buys + buys + holds + sells + strong_sells",
        "targets_of_firms": "targets <= firms",
        "targets_in_order": "target_low <= target_median AND target_median <= target_high AND target_low > 0",
        "known_by_the_close": "last_rated_at < session + interval '2 days'",
        "a_session_s_weekday": "date_part('isodow', session) < 6",
    },
)
