"""TeCaFN, MulG and AMSGFN on the embedded corpus: full model, text alone, every ablation, beside the floor.

    python experiments/models_embedded.py [--models tecafn mulg amsgfn] [--seeds 0 1 2] [--jobs 2] [--full]

--models takes config files too, and so models of other packages.
Cut so that everything takes about an hour on two CPU cores: clips of at most 12 words, 8 to 14 epochs.
--full takes the uncut corpus, the epochs of the shipped configs and every subset of modalities besides, and
adds tables of TeCaFN's two classes and MulG's four emotions. Each row has its difference from the full model,
seed by seed; the best possible predictor of the same corpus (`python -m msa_jax.data.synthetic.floor`) stands
under each table. SYNTHETIC DATA: no score here says anything about a real corpus.
"""

import argparse
from pathlib import Path

import numpy as np
from table import file_of, pairs, run_script, show, train_all

from msa_jax import config as configs
from msa_jax.data import synthetic
from msa_jax.data.synthetic import floor

KEYS = ("mae", "corr", "acc7", "acc2_non0")
SHORT = {"data.corpus": "synthetic_short", "data.buckets": 1, "eval_batch_size": 256}
EPOCHS = {"tecafn": 10, "mulg": 8, "amsgfn": 14}
# Subsets that only --full trains.
REST = ("audio_only", "vision_only", "no_text")
OTHER = ("synthetic", "tiny")  # variants that are not ablations
CLASSES = {
    "tecafn_urfunny": ("synthetic_ur_funny", ("acc2", "f1")),
    "mulg_iemocap": ("synthetic_iemocap", ("acc_happy", "acc_sad", "acc_angry", "acc_neutral")),
}


def variants(model: str, *, full: bool) -> list[str]:
    """Names of the ablations of a model, "" (the full model) first, then text alone."""
    shipped = configs.variants(Path(file_of(model)))
    rest = [v for v in shipped if v not in ("text_only", *OTHER) and (full or v not in REST)]
    return ["", "text_only", *rest]


def made(file: str, variant: str) -> str:
    """A config on the embedded corpus of its form, with a variant or, where that is "", without."""
    return ":".join(filter(None, (file, "synthetic", variant)))


def scores_table(model: str, args: argparse.Namespace) -> None:
    """Trains and prints one model's table."""
    overrides = {} if args.full else {**SHORT, "epochs": EPOCHS.get(model, 10)}
    names = variants(model, full=args.full)
    jobs = {v: (made(file_of(model), v), overrides) for v in names}
    runs = train_all(args.runs / Path(model).stem, jobs, args.seeds, workers=args.jobs)
    rows = {v or "full": [results["test"] for results in runs[v]] for v in names}
    corpus = overrides.get("data.corpus", "synthetic")
    show(f"{model} on {corpus} (SYNTHETIC), test split, {len(args.seeds)} seeds", rows, KEYS)
    print("difference from the full model in MAE, seed by seed (above 0: the ablation hurts)")
    for name in rows:
        if name != "full":
            d = pairs(name, "full", rows, "mae")
            spread = d.std(ddof=1) if len(d) > 1 else 0.0
            hurts = (d > 0).all() and d.mean() > 2 * spread / np.sqrt(len(d))
            print(f"  {name:32s} {d.mean():+.3f} ± {spread:.3f}  {'hurts' if hurts else 'does not hurt'}")
    if not args.skip_floor:
        show_floor(corpus)


def classes_table(config: str, args: argparse.Namespace) -> None:
    """Trains and prints a table of a model whose labels are classes."""
    corpus, keys = CLASSES[config]
    jobs = {v: (made(f"configs/{config}.py", v), {}) for v in ("", "text_only")}
    runs = train_all(args.runs / config, jobs, args.seeds, workers=args.jobs)
    rows = {v or "full": [results["test"] for results in runs[v]] for v in jobs}
    show(f"{config} on {corpus} (SYNTHETIC), test split, {len(args.seeds)} seeds", rows, keys)
    if not args.skip_floor:
        show_floor(corpus)


def show_floor(corpus: str) -> None:
    """Prints what the best possible predictor of a corpus scores, by the modalities that it is told."""
    print("best possible predictor, told")
    for told, scores in floor.floor(synthetic.PRESETS[corpus]).items():
        shown = "  ".join(f"{k} {v:.3f}" for k, v in scores.items() if not k.endswith("_se"))
        print(f"  {told:22s} {shown}", flush=True)


def main() -> None:
    """Trains what is not trained yet, then prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(EPOCHS), help="names, or config files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="processes that train at the same time")
    parser.add_argument("--full", action="store_true", help="uncut corpus, epochs and subsets")
    parser.add_argument("--skip-floor", action="store_true", help="do not compute the best possible scores")
    parser.add_argument("--runs", type=Path, default=Path("runs/models_embedded"))
    args = parser.parse_args()
    if args.full:
        args.runs = args.runs.with_name(args.runs.name + "_full")
    for model in args.models:
        scores_table(model, args)
    for config in CLASSES:
        if args.full and config.split("_")[0] in args.models:
            classes_table(config, args)


if __name__ == "__main__":
    run_script(main)
