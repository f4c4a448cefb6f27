"""Fetches a model of Hugging Face into a directory that CLOSINGBELL_FINBERT may name: what the image's build runs.

    python docker/finbert.py ProsusAI/finbert /opt/finbert [--revision SHA]

The weights are read as tensors alone (a checkpoint that holds code is refused by torch), written as safetensors, and
exported to int8 beside them. Needs the network, once.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from closingbell.news import models


def fetch(name: str, folder: Path, revision: str | None = None) -> Path:
    """The model and its tokenizer saved in `folder`, with the int8 file; raises where it is no BERT classifier."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    options = {"revision": revision, "trust_remote_code": False}
    folder.mkdir(parents=True, exist_ok=True)
    AutoTokenizer.from_pretrained(name, **options).save_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(name, **options)
    model.save_pretrained(folder, safe_serialization=True)
    models.export_int8(folder)
    models.open_model(folder, device="int8").scores(["Profit rose."])
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--revision")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # says how far int8 moves a score
    print(fetch(given.name, given.folder, given.revision))
