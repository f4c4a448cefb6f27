"""FinBERT's path on a tiny BERT that is trained here in seconds: labels by name, batches, int8."""

import json
import random
import shutil

import pytest

from closingbell.news import models
from closingbell.news.models import (
    CUDA_TOKEN_BUDGET,
    INT8,
    TOKEN_BUDGET,
    WEIGHTS,
    batches,
    int8_difference,
    open_model,
    positive_negative,
)
from fixtures import tiny_bert
from fixtures.tiny_bert import LABELS, sentence


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("tiny-bert")
    tiny_bert.train(where)
    return where


@pytest.fixture(scope="module")
def texts():
    chooser = random.Random(2)
    return [(label, sentence(label, chooser)) for label in LABELS for _ in range(20)]


@pytest.mark.parametrize("device", ["cpu", "int8"])
def test_the_labels_names_decide_what_is_good(folder, texts, device):
    model = open_model(folder, device=device, threads=1)
    scores = model.scores([text for _, text in texts])
    for (label, text), score in zip(texts, scores, strict=True):
        wanted = {"positive": score > 0.5, "negative": score < -0.5, "neutral": abs(score) < 0.5}
        assert wanted[label], (label, text, score)
    assert model.labels == tuple(LABELS)


def test_batches_and_their_order_do_not_matter(folder, texts):
    plain = [text for _, text in texts]
    model = open_model(folder, device="cpu", threads=1)
    alone = open_model(folder, device="cpu", threads=1, token_budget=1).scores(plain)
    assert model.scores(plain) == pytest.approx(alone, abs=1e-4)
    assert model.scores(plain[::-1]) == pytest.approx(alone[::-1], abs=1e-4)
    assert model.scores([]) == []


def test_int8_is_close_to_fp32_and_alone_it_is_the_same_whatever_is_beside_it(folder, texts):
    plain = [text for _, text in texts]
    exact = open_model(folder, device="cpu", threads=1).scores(plain)
    int8 = open_model(folder, device="int8", threads=1).scores(plain)
    assert int8 == pytest.approx(exact, abs=0.1)
    furthest = max(abs(one - other) for one, other in zip(int8, exact, strict=True))
    assert furthest > 0
    assert int8_difference(folder, plain, threads=1) == pytest.approx(furthest)
    alone = open_model(folder, device="int8", threads=1, token_budget=1)
    assert alone.scores(plain[:5]) == alone.scores(plain)[:5]


def test_the_device_is_said_and_decides_how_much_goes_in_at_once(folder, tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO", "closingbell")
    assert open_model(folder).token_budget == TOKEN_BUDGET
    assert "no CUDA: int8 on CPU" in caplog.text
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / INT8).unlink()
    assert open_model(tmp_path / "copy").version.endswith("-fp32")
    assert f"no CUDA and no {INT8} (export_int8 makes it)" in caplog.text
    with pytest.raises(ValueError, match="device cuda, but torch finds none; ask for auto, int8 or cpu"):
        open_model(folder, device="cuda")
    monkeypatch.setattr(models, "_has_cuda", lambda: True)
    monkeypatch.setattr(models, "_torch_logits", lambda *asked: lambda ids, mask: None)
    found = open_model(folder)
    assert (found.version[-5:], found.token_budget) == ("-fp16", CUDA_TOKEN_BUDGET)


def test_the_version_names_the_weights_and_the_arithmetic(folder):
    exact, int8 = open_model(folder, device="cpu"), open_model(folder, device="int8")
    assert exact.version.endswith("-fp32")
    assert int8.version == exact.version.replace("fp32", "int8")
    assert len(exact.version.split("-")[0]) == 12


def test_a_text_longer_than_the_model_is_cut(folder):
    score = open_model(folder, device="cpu").scores(["soars " + "the " * 500])[0]
    assert -1 <= score <= 1


def test_a_directory_that_is_none_is_refused_by_file(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        open_model(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    with pytest.raises(ValueError, match="none of auto, cuda, int8, cpu"):
        open_model(copy, device="tpu")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}))
    with pytest.raises(ValueError, match=r"id2label of config\.json"):
        open_model(copy)
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(ValueError, match="model_type is 'gpt2'"):
        open_model(copy)
    (copy / "config.json").write_text(json.dumps(config))
    with (copy / WEIGHTS).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ValueError, match="made of other weights"):
        open_model(copy, device="int8")
    (copy / INT8).unlink()
    with pytest.raises(FileNotFoundError, match="export_int8 makes it"):
        open_model(copy, device="int8")
    (copy / WEIGHTS).rename(copy / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="pickles"):
        open_model(copy)


def test_batches_are_of_like_lengths_and_within_the_budget():
    lengths = [5, 100, 7, 6, 90, 300]
    made = list(batches(lengths, 200))
    assert made == [[5], [1, 4], [2, 3, 0]]  # 300 alone is over the budget and goes by itself
    assert all(len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= 200 for rows in made)


@pytest.mark.parametrize(
    ("labels", "found"),
    [(["positive", "negative", "neutral"], (0, 1)), (["Bearish", "Bullish"], (1, 0)), (["NEG", "neu", "POS"], (2, 0))],
)
def test_labels_by_name(labels, found):
    assert positive_negative(labels) == found


def test_the_image_build_makes_safetensors_and_int8_of_what_it_fetches(folder, tmp_path, caplog):
    import importlib.util

    from closingbell.settings import REPOSITORY

    spec = importlib.util.spec_from_file_location("finbert", REPOSITORY / "docker/finbert.py")
    finbert = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(finbert)
    caplog.set_level("INFO", "closingbell")
    made = finbert.fetch(str(folder), tmp_path / "finbert")
    assert "int8 moves a score from fp32 by 0." in caplog.text
    assert {WEIGHTS, INT8, "config.json"} <= {path.name for path in made.iterdir()}
    assert open_model(made).version.endswith("-int8")
    assert open_model(made, device="cpu").scores(["acme beats"]) == open_model(folder, device="cpu").scores(
        ["acme beats"]
    )
