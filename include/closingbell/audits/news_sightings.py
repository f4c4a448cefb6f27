"""Audit of closingbell.news_sightings: each vendor's copy of a story."""

from closingbell.audits.rules import Expect, TableAudit

AUDIT = TableAudit(
    row_rules={
        "url_is_an_address": "url ~ '^(https://[^/]+/|fnspid:)'",
        "title_given": "title <> ''",
        "published_in_our_time": "published_at > '1990-01-01'",
        "published_before_it_was_fetched": "published_at <= fetched_at + interval '1 day'",
    },
    expectations=(
        Expect(
            name="streams_read",
            query="audit_news_streams",
            severity="warning",
            todo="a vendor's answer, a file or a page of news/sources.toml changed: its parser or its entry must "
            "follow; the others went on, and the next run asks a stream for the same time again; give a file again",
        ),
        Expect(
            name="tickers_known",
            query="audit_news_tickers",
            severity="warning",
            todo="most of these stories are of tickers that nobody is known to have borne: run universe; the next run "
            "of news_sentiment after it gives them their opinions and scores",
        ),
    ),
    # a run brings few stories, and a new word for a mood may be a row of each: the stories stay whole
    max_quarantined=0.25,
    few_quarantined=20,
)
