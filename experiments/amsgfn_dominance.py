"""AMSGFN's choice of the dominant modality against the truth of the embedded corpus.

    python experiments/amsgfn_dominance.py [--seeds 0 1 2] [--jobs 2]

On a corpus where each clip's text, audio and vision are anything from clear to useless (synthetic_dominance),
for the shipped model, with the balance term, with Gumbel noise and with both: how often each modality was
chosen in single batches at the start and at the end of training, and, on the test split, the confusion table
of the chosen modality against the one that tells an exact Bayesian observer most of the label. SYNTHETIC
DATA.
"""

import argparse
import json
from pathlib import Path

import jax
import numpy as np
from msa_jax.predict import load
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from table import show, train_all

from msa_jax.corpora import MODALITIES
from msa_jax.data import synthetic
from msa_jax.data.plan import BatchPlan
from msa_jax.data.synthetic.oracle import least_uncertain

CORPUS = "synthetic_dominance"
VARIANTS = ("", "balance", "gumbel", "balance_gumbel")
SETTINGS = {"data.corpus": CORPUS, "epochs": 14, "data.buckets": 1, "eval_batch_size": 256}


def chosen(folder: Path, examples: list) -> tuple[np.ndarray, np.ndarray]:
    """(dominant modality [N], scores [N, 3]) of a trained run on clips.

    Args:
      folder: of the run.
      examples: the clips.
    """
    run = load(folder)
    split = run.scan(run.clips(examples))
    apply = jax.jit(lambda params, batch: run.model.apply({"params": params}, batch, train=False))
    plan = BatchPlan(split.lengths, (tuple(split.lengths.max(0).tolist()),), run.config.eval_batch_size)
    dominant, scores = np.full(len(split), -1), np.zeros((len(split), 3))
    for i in range(len(plan)):
        rows, lengths = plan[i]
        out = apply(run.params, split.batch(rows, lengths, plan.batch_size, run.statistics))
        dominant[rows] = np.asarray(out["dominant"])[: len(rows)]
        scores[rows] = np.asarray(out["scores"])[: len(rows)]
    return dominant, scores


def main() -> None:
    """Trains what is not trained yet, then prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="processes that train at the same time")
    parser.add_argument("--runs", type=Path, default=Path("runs/amsgfn_dominance"))
    args = parser.parse_args()
    config = "configs/amsgfn_mosi.py:synthetic"
    jobs = {v or "full": (config + (f":{v}" if v else ""), SETTINGS) for v in VARIANTS}
    runs = train_all(args.runs, jobs, args.seeds, workers=args.jobs)
    rows = {v: [r["test"] for r in results] for v, results in runs.items()}
    show(f"amsgfn on {CORPUS} (SYNTHETIC), test split", rows, ("mae", "corr"))
    made = synthetic.PRESETS[CORPUS]
    test = [e for e in synthetic.generate(made)[0] if e.split == "test"]
    truth = least_uncertain(made, test)
    told = np.bincount(truth, minlength=3) / len(truth)
    print(f"most telling modality, share of the {len(test)} clips: {named(told)}")
    for v in runs:
        for seed in args.seeds:
            folder = args.runs / f"{v}-seed{seed}"
            guess, scores = chosen(folder, test)
            table = confusion_matrix(truth, guess, labels=range(3))
            kappa = cohen_kappa_score(truth, guess) if len(np.unique(guess)) > 1 else 0.0
            lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            logged = [[line[f"share_{m}"] for m in MODALITIES] for line in lines if "share_text" in line]
            first, last = (named(np.mean(part, axis=0)) for part in (logged[:4], logged[-4:]))
            print(f"\n{v}, seed {seed}: agrees in {100 * np.mean(truth == guess):.1f} %, kappa {kappa:.3f}")
            print(f"  chosen in training, 4 of the first 40 batches: {first}; 4 of the last 40: {last}")
            print(f"  mean scores on the test split: {named(scores.mean(0))}")
            print(f"  most telling \\ chosen {''.join(f'{m:>8s}' for m in MODALITIES)}")
            for m, counts in zip(MODALITIES, table, strict=True):
                print(f"  {m:21s}" + "".join(f"{n:8d}" for n in counts), flush=True)


def named(shares: np.ndarray) -> str:
    """Shares of the three modalities as text."""
    return "  ".join(f"{m} {s:.2f}" for m, s in zip(MODALITIES, shares, strict=True))


if __name__ == "__main__":
    main()
