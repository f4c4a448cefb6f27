"""The concept map (concepts.toml) as typed values, read once."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

import polars as pl

TAXONOMIES = ("us-gaap", "ifrs-full", "dei")
KINDS = ("flow", "instant", "per_share", "average", "cover")
FLAGS = ("absolute", "zero_yields")
PARTS = {"not_below": 0.995, "far_below": 0.1}


@dataclass(frozen=True)
class Term:
    """One operand of a formula: an item or figure, added or subtracted, which may or must be known."""

    name: str
    sign: int
    optional: bool


@dataclass(frozen=True)
class ConceptMap:
    """What concepts.toml says.

    tags: taxonomy, concept, item, kind, unit, FLAGS, rank (0 best). below: (tag, another, part): no total
    where its size is less than that part of the other's. figures: name -> formulas of terms, best first.
    """

    tags: pl.DataFrame
    below: tuple[tuple[str, str, float], ...]
    kinds: dict[str, str]
    figures: dict[str, tuple[tuple[Term, ...], ...]]

    @cached_property
    def wanted(self) -> dict[str, frozenset[str]]:
        """The concepts to keep, by taxonomy."""
        return {
            taxonomy: frozenset(self.tags.filter(pl.col("taxonomy") == taxonomy)["concept"]) for taxonomy in TAXONOMIES
        }


@cache
def concept_map() -> ConceptMap:
    """The map; raises ValueError where the file contradicts itself."""
    text = resources.files("closingbell.fundamentals").joinpath("concepts.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    rows = []
    for item, line in content["items"].items():
        if line["kind"] not in KINDS or line["unit"] not in ("money", "shares", "money/shares"):
            raise ValueError(f"concepts.toml: item {item} has kind {line['kind']!r} and unit {line['unit']!r}")
        for taxonomy in TAXONOMIES:
            rows += [
                (taxonomy, tag, item, line["kind"], line["unit"], *(line.get(flag, False) for flag in FLAGS), rank)
                for rank, tag in enumerate(line.get(taxonomy, ()))
            ]
    tags = pl.DataFrame(rows, schema=["taxonomy", "concept", "item", "kind", "unit", *FLAGS, "rank"], orient="row")
    names = set(content["items"])
    figures: dict[str, tuple[tuple[Term, ...], ...]] = {}
    for figure, formulas in content["figures"].items():
        figures[figure] = tuple(_terms(figure, formula, names) for formula in formulas)
        names.add(figure)
    kinds = {item: line["kind"] for item, line in content["items"].items()}
    below = tuple(
        (tag, other, part)
        for line in content["items"].values()
        for key, part in PARTS.items()
        for tag, others in line.get(key, {}).items()
        for other in others
    )
    return ConceptMap(below=below, tags=tags.with_columns(pl.col("rank").cast(pl.Int16)), kinds=kinds, figures=figures)


def _terms(figure: str, formula: str, names: set[str]) -> tuple[Term, ...]:
    terms, sign = [], 1
    for word in formula.split():
        if word in "+-":
            sign = 1 if word == "+" else -1
            continue
        name = word.removesuffix("?")
        if name not in names:
            raise ValueError(f"concepts.toml: {figure} = {formula!r} names {name!r}, which stands nowhere above it")
        terms.append(Term(name, sign, word.endswith("?")))
    return tuple(terms)
