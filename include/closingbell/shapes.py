"""What a parser says of an answer whose values are of another kind than its vendor documents."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar
from xml.etree import ElementTree

import polars as pl

P = ParamSpec("P")
T = TypeVar("T")


def parser(where: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """The parser of one answer, `where` being its vendor and endpoint: whatever it trips over is a ValueError.

    A null for a text or a list for a number would else end the whole batch as a TypeError or KeyError, instead of this
    answer by name.
    """

    def named(parse: Callable[P, T]) -> Callable[P, T]:
        @wraps(parse)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return parse(*args, **kwargs)
            except (LookupError, TypeError, AttributeError, ArithmeticError, pl.exceptions.PolarsError) as error:
                raise ValueError(
                    f"{where}: a value of another kind than the vendor documents ({type(error).__name__}: {error}); "
                    "fetch it again, or teach the parser what it means now"
                ) from error

        return checked

    return named


def plain_xml(body: bytes, what: str) -> ElementTree.Element:
    """The root of an XML answer; ValueError where it is none, or has a DOCTYPE, without which there are no entities."""

    class NoDoctype(ElementTree.TreeBuilder):
        def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
            raise ValueError(f"{what} has a DOCTYPE ({name}), which is refused; the vendor's has none")

    parser = ElementTree.XMLParser(target=NoDoctype())  # noqa: S314 - entities are refused with the DOCTYPE
    try:
        parser.feed(body)
        return parser.close()
    except ElementTree.ParseError as error:
        raise ValueError(f"{what} is no XML ({error}); it was cut, or is another page: fetch it again") from error
