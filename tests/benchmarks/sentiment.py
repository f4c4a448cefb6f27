"""FinBERT's path on CPU against the plain transformers pipeline (batch 32, its default padding), sentences a second.

Random weights of BERT's base size and texts of made-up words, as long as the news stream's: half headlines (12 words),
four in ten with a short summary (50), one in ten with a long one (220), since neither depends on what a model has
learned. Both get the same texts, tokenized by themselves, in turns, on the same threads. Reported beside it: how far
int8 moves a score from fp32.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SENTENCES = 64
ROUNDS = 2
BUDGET = 5.0
LARGEST_DIFFERENCE = 0.05
WORDS = 30_517
KINDS = ((12, 3), (50, 15), (220, 60))


def measure() -> list[dict[str, Any]]:
    """The benchmark's rows: name, value, baseline, ratio, budget, holds."""
    import torch
    from transformers import pipeline

    from closingbell.news.models import export_int8, open_model

    threads = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _full_shape(folder)
        export_int8(folder)
        model = open_model(folder, device="int8", threads=threads)
        torch.set_num_threads(threads)
        plain = pipeline("text-classification", model=name, tokenizer=name, top_k=None, device="cpu", batch_size=32)
        sentences = _sentences()
        model.scores(sentences[:2]), plain(sentences[:2])
        ours = theirs = float("inf")
        scores: list[float] = []
        answers: list[Any] = []
        for _ in range(ROUNDS):  # in turns, so that a busy machine slows both
            theirs = min(theirs, _seconds(lambda: answers.extend(plain(sentences))))
            ours = min(ours, _seconds(lambda: scores.extend(model.scores(sentences))))
    exact = [{each["label"]: each["score"] for each in answer} for answer in answers[:SENTENCES]]
    furthest = max(abs(one["positive"] - one["negative"] - score) for one, score in zip(exact, scores, strict=False))
    return [
        {
            "name": "FinBERT's shape on CPU, sentences a second",
            "value": SENTENCES / ours,
            "baseline": SENTENCES / theirs,
            "ratio": theirs / ours,
            "budget": f">= {BUDGET:g}x of the plain transformers pipeline",
            "holds": theirs >= BUDGET * ours,
        },
        {
            "name": "FinBERT's shape, largest difference of an int8 score from fp32",
            "value": furthest,
            "baseline": LARGEST_DIFFERENCE,
            "ratio": furthest / LARGEST_DIFFERENCE,
            "budget": f"<= {LARGEST_DIFFERENCE:g}",
            "holds": furthest <= LARGEST_DIFFERENCE,
        },
    ]


def _full_shape(folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(WORDS))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    labels = ["positive", "negative", "neutral"]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)


def _sentences() -> list[str]:
    chooser = random.Random(3)
    lengths = [int(chooser.gauss(*chooser.choices(KINDS, weights=(5, 4, 1))[0])) for _ in range(SENTENCES)]
    return [" ".join(f"w{chooser.randrange(WORDS)}" for _ in range(length)) for length in map(_within, lengths)]


def _within(length: int) -> int:
    return min(max(length, 5), 480)


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
