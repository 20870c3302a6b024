"""AMSGFN's choice of the dominant modality against the truth of the embedded corpus.

    python experiments/amsgfn_dominance.py [--seeds 0 1 2] [--variants full score_spread] [--jobs 2]

On a corpus where each clip's text, audio and vision are anything from clear to useless (synthetic_dominance),
for the shipped model and its variants: how often each modality was chosen in single batches at the start and
at the end of training, and, on the test split, the confusion table of the chosen modality against the one
that tells an exact Bayesian observer most of the label. The last table holds, run by run, agreement, Cohen's
kappa, what the choice costs (`regret`), the error, and the error of the same weights where the most telling
modality leads instead. SYNTHETIC DATA.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from table import run_script, show, train_all

from msa_jax.corpora import MODALITIES
from msa_jax.data import synthetic
from msa_jax.data.example import Example
from msa_jax.data.synthetic.oracle import errors_by_modality
from msa_jax.run import load

CORPUS = "synthetic_dominance"
VARIANTS = ("full", "score_spread", "balance", "gumbel", "balance_gumbel")
SETTINGS = {"data.corpus": CORPUS, "epochs": 14, "data.buckets": 1, "eval_batch_size": 256}


def regret(errors: np.ndarray, chosen: np.ndarray) -> float:
    """What a choice costs: how much more error it promises than the best one, on average over clips.

    Args:
      errors: [N, 3] the error to be expected of each modality alone.
      chosen: [N] the modality that is chosen.

    Returns:
      0 for the best choice in every clip, on the scale of the labels.
    """
    taken = np.take_along_axis(errors, chosen[:, None], axis=1)[:, 0]
    return float((taken - errors.min(1)).mean())


def regret_of_one(errors: np.ndarray) -> tuple[int, float]:
    """(modality, regret) of the best choice that is the same in all clips; argument as for `regret`."""
    costs = [regret(errors, np.full(len(errors), m)) for m in range(errors.shape[1])]
    return int(np.argmin(costs)), min(costs)


def chosen(folder: Path, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
    """(dominant modality [N], scores [N, 3]) of a trained run on clips.

    Args:
      folder: of the run.
      examples: the clips.
    """
    run = load(folder)
    found = run.outputs(run.preparation.scan(run.preparation.check(examples)), ("dominant", "scores"))
    return np.array(found["dominant"]), np.array(found["scores"])


def led_by_each(folder: Path, examples: Sequence[Example]) -> np.ndarray:
    """[N, 3] what a trained run predicts where text, audio or vision leads, the scores left as they are.

    Args:
      folder: of the run.
      examples: the clips.
    """
    run = load(folder)
    split = run.preparation.scan(run.preparation.check(examples))
    led = [dataclasses.replace(run, model=run.model.clone(dominant=m)).score(split) for m in MODALITIES]
    return np.stack(led, axis=1)


def report(name: str, folder: Path, examples: Sequence[Example], errors: np.ndarray) -> str:
    """Prints what one run chose, and returns its line of the last table.

    Args:
      name: of the run.
      folder: of the run.
      examples: the test split.
      errors: of it, as for `regret`.
    """
    truth, labels = errors.argmin(1), np.array([e.label for e in examples])
    guess, scores = chosen(folder, examples)
    led = led_by_each(folder, examples)
    mae, told = (np.abs(led[np.arange(len(led)), which] - labels).mean() for which in (guess, truth))
    kappa = cohen_kappa_score(truth, guess) if len(np.unique(guess)) > 1 else 0.0
    agrees, cost = np.mean(truth == guess), regret(errors, guess)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    logged = [[line[f"share_{m}"] for m in MODALITIES] for line in lines if "share_text" in line]
    first, last = (named(np.mean(part, axis=0)) for part in (logged[:4], logged[-4:]))
    print(f"\n{name}")
    print(f"  chosen in training, 4 of the first 40 batches: {first}; 4 of the last 40: {last}")
    print(f"  mean scores on the test split: {named(scores.mean(0))}")
    print(f"  most telling \\ chosen {''.join(f'{m:>8s}' for m in MODALITIES)}")
    for m, counts in zip(MODALITIES, confusion_matrix(truth, guess, labels=range(3)), strict=True):
        print(f"  {m:21s}" + "".join(f"{n:8d}" for n in counts), flush=True)
    return f"{name:24s}{100 * agrees:9.1f} %{kappa:8.3f}{cost:8.3f}{mae:8.3f}{told:12.3f}"


def main() -> None:
    """Trains what is not trained yet, then prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--jobs", type=int, default=2, help="processes that train at the same time")
    parser.add_argument("--runs", type=Path, default=Path("runs/amsgfn_dominance"))
    args = parser.parse_args()
    config = "configs/amsgfn_mosi.py:synthetic"
    jobs = {v: (config if v == "full" else f"{config}:{v}", SETTINGS) for v in args.variants}
    runs = train_all(args.runs, jobs, args.seeds, workers=args.jobs)
    rows = {v: [r["test"] for r in results] for v, results in runs.items()}
    show(f"amsgfn on {CORPUS} (SYNTHETIC), test split", rows, ("mae", "corr"))
    made = synthetic.PRESETS[CORPUS]
    test = [e for e in synthetic.generate(made)[0] if e.split == "test"]
    errors = errors_by_modality(made, test)
    told = np.bincount(errors.argmin(1), minlength=3) / len(errors)
    print(f"most telling modality, share of the {len(test)} clips: {named(told)}")
    table = [
        report(f"{v}, seed {seed}", args.runs / f"{v}-seed{seed}", test, errors)
        for v in runs
        for seed in args.seeds
    ]
    best, cost = regret_of_one(errors)
    print(f"\n{'':24s}   agrees   kappa  regret     mae  told choice")
    print("\n".join(table))
    print(f"regret of a choice at random {(errors - errors.min(1, keepdims=True)).mean():.3f}, ", end="")
    print(f"of {MODALITIES[best]} always {cost:.3f}")


def named(shares: np.ndarray) -> str:
    """Shares of the three modalities as text."""
    return "  ".join(f"{m} {s:.2f}" for m, s in zip(MODALITIES, shares, strict=True))


if __name__ == "__main__":
    run_script(main)
