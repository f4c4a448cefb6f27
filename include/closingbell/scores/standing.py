"""Rows of the four tables that are made by session, as they stand at a close: ratings, insiders, institutions, news.

In: frames of sql/queries/score_*.sql, whose columns are `CONSENSUS`, `INSIDERS`, `OWNERSHIP` and `SENTIMENT`. Out: rows
of the listed shares (compute.UNIVERSE) with these columns and `source_key`, from which metrics are read.

A row counts on a session where it is of that session or one before it and says that it was known by the close. Read
are a table's rows of the newest session that it was made for, up to `factors.MAX_AGE_DAYS` ago: a share that has none
there has no data, whatever older sessions say.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

from closingbell.scores.factors import COMPARED_DAYS, FEWEST_FILERS, MAX_AGE_DAYS, REPORTS_DUE_DAYS, Source

UTC = pl.Datetime("us", "UTC")
Columns = dict[str, type[pl.DataType] | pl.DataType]

CONSENSUS: Columns = {
    "security_id": pl.Int64,
    "session": pl.Date,
    "known_at": UTC,  # of the newest rating counted
    "rating_mean": pl.Float64,
    "target_mean": pl.Float64,  # on the share basis of its session
    "firms": pl.Int64,
    "ratings_from": pl.Date,
}
"""score_consensus.sql"""

INSIDERS: Columns = {
    "security_id": pl.Int64,
    "session": pl.Date,
    "known_at": UTC,  # of the newest trade counted
    "net_value_30d": pl.Float64,
    "unpriced_30d": pl.Int64,
    "buyers_30d": pl.Int64,
    "net_value_90d": pl.Float64,
    "unpriced_90d": pl.Int64,
    "filings_from": pl.Date,  # filings are loaded from this day on; null: not day by day
}
"""score_insiders.sql"""

OWNERSHIP: Columns = {
    "security_id": pl.Int64,
    "session": pl.Date,  # since when the row stands
    "quarter": pl.Date,
    "known_at": UTC,
    "filers": pl.Int64,  # institutions whose report of the quarter was known
    "holders": pl.Int64,
    "share_owned": pl.Float64,
    "compared_shares": pl.Float64,
    "shares_before": pl.Float64,
}
"""score_ownership.sql"""

SENTIMENT: Columns = {
    "security_id": pl.Int64,
    "session": pl.Date,
    "known_at": UTC,
    "sentiment_7d": pl.Float64,
    "sentiment_30d": pl.Float64,
}
"""score_sentiment.sql"""

WINDOWS = {30: ("net_value_30d", "unpriced_30d", "buyers_30d"), 90: ("net_value_90d", "unpriced_90d")}
"""Days of a window of INSIDERS, and its columns."""


def consensus(
    listed: pl.DataFrame, rows: pl.DataFrame, splits: pl.DataFrame, session: date, close: datetime
) -> pl.DataFrame:
    """Consensus, its targets on the session's basis; `firms` is null where less than twelve months are loaded."""
    found = listed.join(_of_newest_session(rows, Source.CONSENSUS, session, close), on="security_id")
    whole = pl.col("ratings_from") <= pl.col("made_on").dt.offset_by("-12mo")
    return found.with_columns(
        firms=pl.when(whole).then("firms"),
        target_mean=pl.col("target_mean") / split_factor(found, "made_on", splits, session),
        source_key=_key("analyst_consensus", "security_id", "made_on"),
    )


def insiders(
    listed: pl.DataFrame, rows: pl.DataFrame, valuations: pl.DataFrame, session: date, close: datetime
) -> pl.DataFrame:
    """Open-market trading with the session's `market_cap`. A window that filings are not loaded for from its first day
    on is null: a part of it is no evidence of no trades.

    A window that is whole and has no row is one without trades: zeros for shares whose insiders file (`files_form_4`),
    with the key ["insider_trades", security_id, first day, last day] of filings that have none.
    """
    known = _of_newest_session(rows, Source.INSIDERS, session, close)
    # sessions are made whole, so that each row tells of all
    made = known.group_by("made_on").agg(
        filings_from=pl.when(pl.col("filings_from").null_count() == 0).then(pl.col("filings_from").max())
    )
    trades = known.select("security_id", *(name for names in WINDOWS.values() for name in names), traded=pl.lit(True))
    found = listed.join(made, how="cross").join(trades, on="security_id", how="left")
    silent = pl.col("traded").is_null() & pl.col("files_form_4")
    windows = []
    for days, names in WINDOWS.items():
        whole = pl.col("filings_from") <= pl.col("made_on") - pl.duration(days=days - 1)
        windows += [pl.when(whole).then(pl.when(silent).then(0).otherwise(name)).alias(name) for name in names]
    market_value = valuations.filter(pl.col("session") == session).select("security_id", "market_cap")
    return (
        found.with_columns(windows)
        .with_columns(
            source_key=pl.when(pl.col("traded").is_not_null())
            .then(_key("insider_activity", "security_id", "made_on"))
            .otherwise(_key("insider_trades", "security_id", "filings_from", "made_on"))
        )
        .join(market_value, on="security_id", how="left")
    )


def ownership(listed: pl.DataFrame, rows: pl.DataFrame, session: date, close: datetime) -> pl.DataFrame:
    """What institutions report of the newest quarter whose reports are due and known."""
    compared, oldest, due = (
        session - timedelta(days=days) for days in (COMPARED_DAYS, MAX_AGE_DAYS[Source.OWNERSHIP], REPORTS_DUE_DAYS)
    )
    known = _known(rows, session, close).filter(pl.col("quarter").is_between(compared, due))
    filers = known.group_by("quarter").agg(pl.col("filers").max())
    whole = filers.filter(pl.col("filers") >= FEWEST_FILERS * pl.col("filers").max())
    newest = (
        known.join(whole.select(pl.col("quarter").max()), on="quarter", how="semi")
        .filter(pl.col("quarter") >= oldest)
        .sort("made_on")
        .unique("security_id", keep="last", maintain_order=True)
    )
    return listed.join(newest, on="security_id").with_columns(
        source_key=_key("institutional_ownership", "security_id", "made_on", "quarter")
    )


def sentiment(listed: pl.DataFrame, rows: pl.DataFrame, session: date, close: datetime) -> pl.DataFrame:
    """The mood of the news."""
    found = listed.join(_of_newest_session(rows, Source.SENTIMENT, session, close), on="security_id")
    return found.with_columns(source_key=_key("sentiment_daily", "security_id", "made_on"))


def split_factor(rows: pl.DataFrame, basis: str, splits: pl.DataFrame, session: date) -> pl.Series:
    """Shares on the session for one share on the day `basis`: the product of the splits in between, one a row."""
    rows = rows.with_row_index("row")
    product = (
        rows.join(splits, on="security_id")
        .filter((pl.col("ex_date") > pl.col(basis)) & (pl.col("ex_date") <= session))
        .sort("row", "ex_date")
        .group_by("row", maintain_order=True)
        .agg(factor=pl.col("numerator").product() / pl.col("denominator").product())
    )
    return rows.join(product, on="row", how="left", maintain_order="left")["factor"].fill_null(1.0)


def _of_newest_session(rows: pl.DataFrame, source: Source, session: date, close: datetime) -> pl.DataFrame:
    oldest = session - timedelta(days=MAX_AGE_DAYS[source])
    known = _known(rows, session, close).filter(pl.col("made_on") >= oldest)
    return known.filter(pl.col("made_on") == pl.col("made_on").max())


def _known(rows: pl.DataFrame, session: date, close: datetime) -> pl.DataFrame:
    known = rows.filter((pl.col("session") <= session) & (pl.col("known_at") <= close))
    return known.rename({"session": "made_on"})


def _key(table: str, *columns: str) -> pl.Expr:
    texts = [column if column == "security_id" else pl.format('"{}"', column) for column in columns]
    return pl.format('["' + table + '",' + ",".join("{}" for _ in columns) + "]", *texts)
