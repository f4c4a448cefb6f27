"""FinBERT's path: a local directory of a BERT sequence classifier -> sentiment scores of texts, -1 to 1.

The directory is what Hugging Face's `save_pretrained` writes (config.json, model.safetensors, the tokenizer), as
`ProsusAI/finbert`; nothing is fetched here and no pickle is read. A text's score is P(positive) - P(negative), the
labels found by their names in config.json, never by their order.

On CPU the model runs as int8 in ONNX Runtime, from a file that `export_int8` makes once (at image build); without that
file, and with CUDA, in torch. Texts go through in order of length, in batches of at most `token_budget` tokens with
their padding, so that hardly any padding is computed. Int8 scales each activation by its batch's largest value: a
text's score moves a little with the texts beside it (0.01 at most seen); token_budget=1 gives each a batch of its own.
How far int8 moves a score from fp32 is measured and logged when the file is made.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

POSITIVE = ("positive", "pos", "bullish")
NEGATIVE = ("negative", "neg", "bearish")
WEIGHTS = "model.safetensors"
INT8 = "model.int8.onnx"
TOKEN_BUDGET = 256
"""Measured on BERT's base size, int8, 2 cores: 1.8 ms of CPU a token, against 2.1 at 512 and 4.4 at 4096 (cache)."""
CUDA_TOKEN_BUDGET = 16_384
"""A GPU is filled by many texts at once; 32 of the longest are some 2 GB of activations in fp16."""
HEADLINES = (
    "Acme beats estimates and raises its forecast",
    "Acme misses estimates as demand plunges",
    "Regulators open a probe into Acme's accounting",
    "Acme to present at an investor conference in Boston",
    "Acme cuts a third of its workforce after a net loss of 1.2 billion dollars in the fourth quarter",
    "Shares of Acme surge 14 percent after the board approves a buyback and doubles the quarterly dividend",
    "Acme names a new chief financial officer",
    "Profit fell, but less than feared, and margins improved for the third quarter in a row",
)
"""What int8 is compared with fp32 on."""
LONGEST = 512


@dataclass(frozen=True, slots=True)
class Sentiment:
    """An opened model. version: 12 digits of its weights' sha256, and int8, fp32 or fp16: what it computes in."""

    name: str
    version: str
    labels: tuple[str, ...]
    token_budget: int
    _tokens: Callable[[Sequence[str]], list[list[int]]]
    _logits: Callable[[np.ndarray, np.ndarray], np.ndarray]
    _padding: int

    def scores(self, texts: Sequence[str]) -> list[float]:
        """P(positive) - P(negative) of each text, in order, 6 digits; a text is cut at the model's longest input."""
        import numpy as np

        if not texts:
            return []
        tokens = self._tokens(texts)
        logits = np.empty((len(texts), len(self.labels)))
        for rows in batches([len(each) for each in tokens], self.token_budget):
            longest = max(len(tokens[row]) for row in rows)
            ids = np.full((len(rows), longest), self._padding, dtype=np.int64)
            mask = np.zeros_like(ids)
            for at, row in enumerate(rows):
                ids[at, : len(tokens[row])] = tokens[row]
                mask[at, : len(tokens[row])] = 1
            logits[rows] = self._logits(ids, mask)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances = odds / odds.sum(axis=1, keepdims=True)
        good, bad = positive_negative(self.labels)
        return [round(float(score), 6) for score in chances[:, good] - chances[:, bad]]


def open_model(
    folder: Path,
    *,
    name: str = "finbert",
    device: str = "auto",
    token_budget: int | None = None,
    threads: int | None = None,
) -> Sentiment:
    """The model of a directory. device: cuda, int8 (CPU, ONNX), cpu (torch), or auto: the first of these there is.

    token_budget: of a batch; what suits the device where None.

    Raises FileNotFoundError or ValueError naming the file of the directory that is missing or wrong.
    """
    config = _config(folder)
    labels = tuple(config["id2label"][str(number)] for number in range(len(config["id2label"])))
    positive_negative(labels)
    digest = weights_sha256(folder)
    if device == "auto":
        device = "cuda" if _has_cuda() else "int8" if (folder / INT8).exists() else "cpu"
        if device == "cpu":
            log.warning("news model %s: no CUDA and no %s (export_int8 makes it): fp32 in torch, slowly", folder, INT8)
        else:
            log.info("news model %s: %s", folder, "fp16 on CUDA" if device == "cuda" else "no CUDA: int8 on CPU")
    elif device == "cuda" and not _has_cuda():
        raise ValueError(f"news model {folder}: device cuda, but torch finds none; ask for auto, int8 or cpu")
    threads = threads or os.cpu_count() or 1
    if device == "int8":
        logits, kind = _onnx_logits(folder, digest, threads), "int8"
    elif device in ("cpu", "cuda"):
        logits, kind = _torch_logits(folder, device, threads), "fp16" if device == "cuda" else "fp32"
    else:
        raise ValueError(f"news model {folder}: device {device!r} is none of auto, cuda, int8, cpu")
    tokens, padding = _tokenizer(folder, min(LONGEST, config.get("max_position_embeddings", LONGEST)))
    budget = token_budget or (CUDA_TOKEN_BUDGET if device == "cuda" else TOKEN_BUDGET)
    return Sentiment(name, f"{digest[:12]}-{kind}", labels, budget, tokens, logits, padding)


def export_int8(folder: Path, *, threads: int | None = None) -> Path:
    """Writes the directory's model.int8.onnx (dense layers' weights int8 a column, activations int8 as they come).

    7 of the 8 bits are used for weights, since x86 without VNNI saturates on 8. Takes about a minute and 3 GiB for
    BERT's base size. The file names the weights it was made of; open_model refuses it beside others.
    """
    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    digest = weights_sha256(folder)
    model = _torch_model(folder, attention="eager")

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    plain, made = folder / "model.fp32.onnx.part", folder / f"{INT8}.part"
    ids = torch.ones((2, 8), dtype=torch.int64)
    try:
        torch.onnx.export(
            Logits().eval(),
            (ids, torch.ones_like(ids)),
            str(plain),
            dynamo=False,  # the exporter that needs no further package
            opset_version=17,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={name: {0: "texts", 1: "tokens"} for name in ("input_ids", "attention_mask")}
            | {"logits": {0: "texts"}},
        )
        quantize_dynamic(
            str(plain),
            str(made),
            op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            extra_options={"MatMulConstBOnly": True},
        )
        graph = onnx.load(str(made))
        onnx.helper.set_model_props(graph, {"weights_sha256": digest})
        onnx.save(graph, str(made))
        made.replace(folder / INT8)
    finally:
        plain.unlink(missing_ok=True)
        made.unlink(missing_ok=True)
    furthest = int8_difference(folder, HEADLINES, threads=threads)
    log.info(
        "news model %s: int8 moves a score from fp32 by %.4f at most (%d headlines)", folder, furthest, len(HEADLINES)
    )
    return folder / INT8


def int8_difference(folder: Path, texts: Sequence[str], *, threads: int | None = None) -> float:
    """The largest difference between the int8 and the fp32 score of a text."""
    exact, int8 = (open_model(folder, device=device, threads=threads).scores(texts) for device in ("cpu", "int8"))
    return max(abs(one - other) for one, other in zip(exact, int8, strict=True))


def batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Positions of the texts, longest first, in batches whose longest text times their number is within the budget."""
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    start = 0
    while start < len(order):
        rows = max(1, token_budget // max(lengths[order[start]], 1))
        yield order[start : start + rows]
        start += rows


def positive_negative(labels: Sequence[str]) -> tuple[int, int]:
    """Where the positive and the negative label are; ValueError where their names do not say so."""
    lower = [label.lower() for label in labels]
    good = [at for at, label in enumerate(lower) if label in POSITIVE]
    bad = [at for at, label in enumerate(lower) if label in NEGATIVE]
    if len(good) != 1 or len(bad) != 1:
        raise ValueError(
            f"news model: id2label of config.json is {list(labels)}; one label must be of {POSITIVE}, one of {NEGATIVE}"
        )
    return good[0], bad[0]


def weights_sha256(folder: Path) -> str:
    """The sha256 of the directory's model.safetensors; FileNotFoundError says what to do where there is none."""
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise FileNotFoundError(
            f"news model {folder}: {WEIGHTS} is missing; other weights (pickles) are not read: save the model with "
            "save_pretrained(folder, safe_serialization=True)"
        )
    stat = weights.stat()
    return _sha256(weights, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"news model {folder}: config.json is missing; this is no model's directory")
    try:
        config = json.loads(path.read_text("utf-8"))
        if not isinstance(config["id2label"], dict) or set(config["id2label"]) != {
            str(number) for number in range(len(config["id2label"]))
        }:
            raise ValueError("id2label must name every label by its number")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"news model {path}: {error}") from error
    if config.get("model_type") != "bert":
        raise ValueError(
            f"news model {path}: model_type is {config.get('model_type')!r}; a BERT classifier is read here"
        )
    return config


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _tokenizer(folder: Path, longest: int) -> tuple[Callable[[Sequence[str]], list[list[int]]], int]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)

    def tokens(texts: Sequence[str]) -> list[list[int]]:
        return tokenizer(list(texts), truncation=True, max_length=longest, padding=False)["input_ids"]

    return tokens, int(tokenizer.pad_token_id or 0)


def _torch_model(folder: Path, *, attention: str = "sdpa") -> Any:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        str(folder),
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        attn_implementation=attention,
    )
    return model.eval().requires_grad_(False)


def _torch_logits(folder: Path, device: str, threads: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    import torch

    if device == "cpu":
        torch.set_num_threads(threads)
    model = _torch_model(folder).to(device)
    if device == "cuda":
        model = model.half()

    def logits(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            answer = model(
                input_ids=torch.from_numpy(ids).to(device), attention_mask=torch.from_numpy(mask).to(device)
            ).logits
        return answer.float().cpu().numpy()

    return logits


def _onnx_logits(folder: Path, digest: str, threads: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    import onnxruntime

    path = folder / INT8
    if not path.is_file():
        raise FileNotFoundError(f"news model {folder}: {INT8} is missing; export_int8 makes it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # a waiting thread leaves its core to others
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    made_of = session.get_modelmeta().custom_metadata_map.get("weights_sha256")
    if made_of != digest:
        raise ValueError(f"news model {path}: it was made of other weights than {WEIGHTS} beside it; export it again")

    def logits(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

    return logits
