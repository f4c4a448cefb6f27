"""What parsers refuse: values of another kind than the vendor documents, and XML that is not read as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import polars as pl
from lxml import etree

P = ParamSpec("P")
T = TypeVar("T")
XML_BYTES = 64 * 2**20
"""The largest XML document read; 13F's largest information tables are about a third of it."""
DOCTYPE = re.compile(rb"<!\s*DOCTYPE", re.IGNORECASE)


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


class Refused(ValueError):
    """A document that is not loaded. `problem` is the reason's name, the message says what and what to do."""

    def __init__(self, problem: str, message: str) -> None:
        super().__init__(message)
        self.problem = problem


def read_xml(body: bytes, *, root: str | None = None, what: str = "") -> Any:
    """The root element (lxml) of a document whose root is named `root`, in any namespace. Refused otherwise, by name.

    what: whose XML it is, for messages. A document type declaration is refused, and nothing is parsed in recover mode,
    which returns a part of a document for the whole. lxml bounds depth, text and entity expansion itself.
    """
    of = f"{what}: " if what else ""
    if len(body) > XML_BYTES:
        raise Refused("document too large", f"{of}{len(body):,} bytes of XML where at most {XML_BYTES:,} are read")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
    doctype = Refused("document type declaration", f"{of}XML with a DOCTYPE is refused; the vendor's has none")
    if DOCTYPE.search(body):
        raise doctype
    try:
        element = etree.fromstring(body.strip(), parser)
    except etree.XMLSyntaxError as error:
        message = f"{of}no XML ({error}); it was cut, or is another page: fetch it again"
        raise Refused("not well-formed XML", message) from error
    if element.getroottree().docinfo.doctype:  # in an encoding that hid it from the search above
        raise doctype
    name = etree.QName(element).localname
    if root is not None and name != root:
        raise Refused("another document", f"{of}the root element is {name}, not {root}")
    return element
