"""The published tables: their keys, the parser that fills them, and the answers they come from.

Columns are not repeated here: the catalog of the database has them, so a migration is the one place to add one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from psycopg2 import sql
from sqlalchemy import Connection

from closingbell.warehouse import db

SCHEMA = "closingbell"
LINEAGE = ("landing_id", "fetched_at")

# what stands for a null in a key when two rows are matched: plain equality joins by hash, IS NOT DISTINCT FROM does not
_NULL_KEYS = {"date": "'-infinity'::date", "text": "chr(1)"}


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """One table of schema closingbell.

    parser_version: bumped when the rows made from the same answers change, so that a staged batch is staged again.
    derived: computed from other tables; its rows have no landing and always yield to newly computed ones.
    feeds: (vendor, endpoint) of the answers it is parsed from.
    excludable: an exclude_security override keeps its rows out.
    """

    name: str
    key: tuple[str, ...]
    parser_version: str = "1"
    derived: bool = False
    feeds: tuple[tuple[str, str], ...] = ()
    excludable: bool = False

    @property
    def by_session(self) -> bool:
        """Whether its partitions are sessions; a table that has none in its key is one partition."""
        return "session" in self.key or "ex_date" in self.key


_FACTS = (("sec_edgar", "companyfacts"), ("sec_edgar", "companyfacts_zip"))
_FILINGS = (
    ("sec_edgar", "submissions"),
    ("sec_edgar", "submissions_page"),
    ("sec_edgar", "submissions_zip"),
    ("sec_edgar", "daily_index"),
)
_LISTS = (
    ("sec_edgar", "company_tickers"),
    ("polygon", "tickers"),
    ("polygon", "ticker_details"),
    ("polygon", "ticker_events"),
    ("tiingo", "supported_tickers"),
)
_BARS = (
    ("polygon", "grouped_daily"),
    ("tiingo", "daily_prices"),
    ("tiingo", "daily_all"),
    ("yahoo", "chart"),
    ("operator", "bars_csv"),
)
_13F = (
    ("sec_edgar", "form13f_set"),
    ("sec_edgar", "form13f_filing"),
    ("sec_edgar", "form13f_cover"),
    ("sec_edgar", "form13f_table"),
)
_ACTIONS = (("polygon", "splits"), ("polygon", "dividends"), ("tiingo", "daily_prices"), ("yahoo", "chart"))
_NEWS = (("polygon", "news"), ("marketaux", "news"), ("tiingo", "news"), ("web", "page"), ("fnspid", "csv"))

TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec(
            name="companies",
            key=("cik", "valid_from"),
            parser_version="2",
            feeds=(*_FILINGS, ("reference", "sp500")),
        ),
        TableSpec(name="securities", key=("security_id",), feeds=_LISTS),
        TableSpec(name="class_shares", key=("security_id", "valid_from"), feeds=(("polygon", "ticker_details"),)),
        TableSpec(name="ticker_history", key=("ticker", "valid_from"), feeds=_LISTS),
        TableSpec(
            name="index_members",
            key=("index_name", "security_id", "valid_from"),
            parser_version="2",
            feeds=(("reference", "sp500"), ("operator", "fortune500")),
        ),
        TableSpec(name="filings", key=("accession_no", "cik"), parser_version="2", feeds=_FILINGS),
        TableSpec(
            name="financial_facts",
            key=("cik", "taxonomy", "concept", "unit", "period_start", "period_end", "accession_no"),
            parser_version="4",
            feeds=_FACTS,
        ),
        TableSpec(
            name="financials",
            key=("cik", "period_end", "period_type", "known_on"),
            parser_version="4",
            feeds=_FACTS,
        ),
        TableSpec(name="stock_prices", key=("security_id", "session"), feeds=_BARS, excludable=True),
        TableSpec(name="corporate_actions", key=("security_id", "ex_date", "kind"), feeds=_ACTIONS, excludable=True),
        TableSpec(name="technical_indicators", key=("security_id", "session"), derived=True, excludable=True),
        TableSpec(name="valuation_ratios", key=("security_id", "session"), derived=True, excludable=True),
        TableSpec(
            name="insider_trades",
            key=("accession_no", "is_derivative", "row_no"),
            parser_version="7",
            feeds=(("sec_edgar", "ownership"),),
        ),
        TableSpec(name="insider_activity", key=("security_id", "session"), derived=True, excludable=True),
        TableSpec(
            name="analyst_ratings",
            key=("vendor", "rating_id"),
            feeds=(("benzinga", "calendar_ratings"), ("benzinga", "calendar_removed")),
            excludable=True,
        ),
        TableSpec(name="analyst_consensus", key=("security_id", "session"), derived=True, excludable=True),
        TableSpec(name="news_sightings", key=("vendor", "vendor_id"), feeds=_NEWS),
        TableSpec(name="news_members", key=("vendor", "vendor_id"), derived=True),
        TableSpec(name="news_articles", key=("article_id",), derived=True),
        TableSpec(name="news_sentiment", key=("article_id", "security_id", "model"), derived=True, excludable=True),
        TableSpec(name="sentiment_daily", key=("security_id", "session"), derived=True, excludable=True),
        TableSpec(name="ic_scores", key=("security_id", "session"), derived=True, excludable=True),
        TableSpec(name="score_inputs", key=("security_id", "session"), derived=True, excludable=True),
        TableSpec(name="cusip_history", key=("cusip", "valid_from"), feeds=(("sec_edgar", "fails_to_deliver"),)),
        TableSpec(name="institutional_filings", key=("accession_no",), parser_version="2", feeds=_13F),
        TableSpec(name="institutional_holdings", key=("accession_no", "row_no"), parser_version="2", feeds=_13F),
        TableSpec(
            name="institutional_ownership", key=("security_id", "session", "quarter"), derived=True, excludable=True
        ),
    )
}


@dataclass(frozen=True)
class Column:
    """A column as the catalog has it; `type` is PostgreSQL's own name (bigint, double precision, text[])."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class Shape:
    """A table's spec and columns, and the SQL fragments that every statement of the load path is made of."""

    spec: TableSpec
    columns: tuple[Column, ...]
    _by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {column.name: column for column in self.columns})
        if absent := [name for name in (*self.spec.key, *LINEAGE) if name not in self._by_name]:
            raise LookupError(f"{SCHEMA}.{self.spec.name} lacks {absent}: are the migrations applied?")

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """What makes a row different: neither key nor lineage."""
        return tuple(name for name in self.names if name not in self.spec.key and name not in LINEAGE)

    @cached_property
    def content(self) -> tuple[str, ...]:
        """Key and compared columns."""
        return tuple(name for name in self.names if name not in LINEAGE)

    def column(self, name: str) -> Column:
        return self._by_name[name]

    def fragments(self, stage_id: str) -> dict[str, Any]:
        """Placeholders of sql/queries/stage_*, audit_* and publish_* for one stage of this table."""
        name = f"{self.spec.name}_{stage_id}"
        return {
            "target": sql.Identifier(SCHEMA, self.spec.name),
            "stage": sql.Identifier("staging", name),
            "kept": sql.Identifier("staging", f"{name}_kept"),
            "stage_key": sql.Identifier(f"{name}_key"),
            "columns": _listed(self.names),
            "s_columns": _listed(self.names, "s"),
            "key": _listed(self.spec.key),
            # staged by sessions and keyed by securities; every other table comes in runs of its key (a filing's lines)
            "in_order": sql.SQL("ORDER BY {}").format(_listed(self.spec.key, "s"))
            if self.spec.by_session
            else sql.SQL(""),
            "s_compared": _listed(self.compared, "s"),
            "t_compared": _listed(self.compared, "t"),
            "content": _listed(self.content),
            "compared": _listed(self.compared),
            "same_key": sql.SQL(" AND ").join(self._equal(name) for name in self.spec.key),
            "key_json": sql.SQL(", ").join(
                sql.SQL("{}, {}").format(sql.Literal(name), sql.Identifier("t", name)) for name in self.spec.key
            ),
        }

    def _equal(self, name: str) -> sql.Composable:
        column = self.column(name)
        if column.required:
            return sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name))
        return sql.SQL("coalesce(t.{0}, {1}) = coalesce(s.{0}, {1})").format(
            sql.Identifier(name), sql.SQL(_NULL_KEYS[column.type])
        )


def shape(connection: Connection, table: str) -> Shape:
    """The table's spec with its columns in their order; raises LookupError for a name that is no table of ours."""
    if (spec := TABLES.get(table)) is None:
        raise LookupError(f"{table!r} is no table of the warehouse; there are {sorted(TABLES)}")
    rows = connection.execute(db.statement("table_columns"), {"schema": SCHEMA, "table": table})
    return Shape(spec, tuple(Column(row.name, row.type, row.required) for row in rows))


def _listed(names: tuple[str, ...], alias: str | None = None) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(alias, name) if alias else sql.Identifier(name) for name in names)
