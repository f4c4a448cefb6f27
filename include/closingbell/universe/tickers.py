"""One spelling of a ticker: root, and after a dot the class or issue (BRK.B, KIM.PL, XYZ.WS, XYZ.U).

Exchanges, Polygon and S&P print BRK.B; SEC, Tiingo, Yahoo and most files BRK-B; some feeds BRK/B or BRK B. Polygon
marks preferred, when-issued and rights issues by one small letter (KIMpL, ABCw, ABCr), which upper-casing would turn
into another company's ticker; SEC writes KIM-PL, XYZ-WT, XYZ-UN.
"""

from __future__ import annotations

import re
from functools import lru_cache

import polars as pl

SMALL = re.compile(r"([A-Z.]+)(p|w|r)([A-Z]?)")
SEPARATORS = re.compile(r"[-/ _]+")
SUFFIXES = {"WT": "WS", "W": "WS", "UN": "U", "RI": "RT", "R": "RT", "WD": "WI"}
SMALL_NAMES = {"p": "P", "w": "WI", "r": "RT"}


@lru_cache(maxsize=65536)
def normal_ticker(ticker: str) -> str:
    """The house's spelling of a vendor's ticker: BRK-B, BRK/B and BRK B are BRK.B; KIMpL and KIM-PL are KIM.PL."""
    ticker = ticker.strip()
    if small := SMALL.fullmatch(ticker):
        return f"{small[1].rstrip('.')}.{SMALL_NAMES[small[2]]}{small[3]}"
    root, _, rest = SEPARATORS.sub(".", ticker.upper()).partition(".")
    suffix = rest.replace(".", "")
    return f"{root}.{SUFFIXES.get(suffix, suffix)}" if suffix else root


def vendor_ticker(ticker: str, vendor: str) -> str:
    """A house ticker in a vendor's spelling (polygon, tiingo, yahoo, sec_edgar); raises KeyError for another vendor."""
    root, _, suffix = ticker.partition(".")
    if not suffix:
        return root
    preferred = suffix.startswith("P")
    spelled = {
        "polygon": f"{root}p{suffix[1:]}" if preferred else f"{root}.{suffix}",
        "tiingo": f"{root}-P-{suffix[1:]}".rstrip("-") if preferred else f"{root}-{suffix}",
        "yahoo": f"{root}-{suffix}",
        "sec_edgar": f"{root}-{ {'WS': 'WT', 'U': 'UN', 'RT': 'RI'}.get(suffix, suffix) }",
    }
    return spelled[vendor]


def normal_tickers(tickers: pl.Series) -> pl.Series:
    """`normal_ticker` of a column; nulls stay null."""
    distinct = tickers.unique().drop_nulls()
    return tickers.replace_strict(distinct, [normal_ticker(ticker) for ticker in distinct], return_dtype=pl.String)
