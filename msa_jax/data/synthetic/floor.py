"""Floor of the errors on a synthetic corpus: the scores of the oracle, to read a model's score against.

    python -m msa_jax.data.synthetic.floor [PRESET]

prints it for one of `msa_jax.data.synthetic.PRESETS`, the default one where none is named.
"""

import dataclasses
import sys

import numpy as np

from msa_jax.corpora import EMOTIONS
from msa_jax.data import synthetic
from msa_jax.data.synthetic import PRESETS, SyntheticConfig
from msa_jax.data.synthetic.oracle import label_given_sentiment, posterior
from msa_jax.data.synthetic.posterior import GRID, LABELS, Posterior

MODALITIES = {  # use_text, use_audio, use_vision
    "text, audio, vision": (True, True, True),
    "text, audio": (True, True, False),
    "text, vision": (True, False, True),
    "text": (True, False, False),
    "audio, vision": (False, True, True),
    "audio": (False, True, False),
    "vision": (False, False, True),
}
_DECIMALS = {"mae": 3, "mse": 3, "corr": 3}  # the rest are per cent


def scores(found: Posterior, labels: np.ndarray, task: str = "mosi") -> dict[str, float]:
    """Errors of the best prediction for each measure, each made from the posterior for that measure alone.

    Args:
      found: the posterior of N clips.
      labels: [N], or [N, 4] for "iemocap".
      task: what the labels are.

    Returns:
      For "mosi" mae with its standard error mae_se, mse, corr, acc7 and acc2_non0; for tasks of classes acc
      (the mean over emotions) with acc_se, and for "iemocap" acc_<emotion>. Accuracies are in per cent.
    """
    if task != "mosi":
        hits = 100.0 * ((found.classes(task) > 0.5) == labels).reshape(len(labels), -1)
        spread = float(hits.mean(1).std() / np.sqrt(len(labels)))
        each = {f"acc_{name}": float(acc) for name, acc in zip(EMOTIONS, hits.mean(0), strict=False)}
        return {"acc": float(hits.mean()), "acc_se": spread, **(each if task == "iemocap" else {})}
    error = np.abs(found.median() - labels)
    level = np.rint(LABELS)
    by_level = np.stack([found.label[:, level == k].sum(1) for k in range(-3, 4)], 1)
    positive, negative = found.label[:, LABELS > 0].sum(1), found.label[:, LABELS < 0].sum(1)
    polar = labels != 0
    return {
        "mae": float(error.mean()),
        "mae_se": float(error.std() / np.sqrt(len(labels))),
        "mse": float(np.mean((found.mean() - labels) ** 2)),
        "corr": float(np.corrcoef(found.mean(), labels)[0, 1]),
        "acc7": 100 * float(np.mean(by_level.argmax(1) - 3 == np.rint(labels))),
        "acc2_non0": 100 * float(np.mean((positive > negative)[polar] == (labels > 0)[polar])),
    }


def floor(config: SyntheticConfig, n_clips: int = 2000) -> dict[str, dict[str, float]]:
    """Scores of the best possible predictors, estimated on clips drawn from `config`.

    Args:
      config: the corpus; its counts do not matter.
      n_clips: size of the sample.

    Returns:
      `scores` for each of MODALITIES and for "sentiment", the predictor that is told the clip's hidden
      sentiment and errs by the annotators' noise alone.
    """
    config = dataclasses.replace(config, counts=(0, 0, n_clips))
    examples, facts = synthetic.generate(config)
    labels = np.array([example.label for example in examples])
    table = {}
    for name, (text, audio, vision) in MODALITIES.items():
        found = posterior(config, examples, use_text=text, use_audio=audio, use_vision=vision)
        table[name] = scores(found, labels, config.task)
    nearest = np.abs(np.array([fact.sentiment for fact in facts])[:, None] - GRID).argmin(1)
    told = np.eye(GRID.size)[nearest]
    table["sentiment"] = scores(Posterior(told, told @ label_given_sentiment(config)), labels, config.task)
    return table


def main(arguments: list[str]) -> None:
    """Prints the floor of a preset."""
    preset = arguments[0] if arguments else "synthetic"
    if preset not in PRESETS or len(arguments) > 1:
        sys.exit(f"usage: python -m msa_jax.data.synthetic.floor [{' | '.join(PRESETS)}]")
    table = floor(PRESETS[preset])
    measures = [name for name in table["sentiment"] if not name.endswith("_se")]
    print(f"{'told':<20}" + "".join(f" {name:>14}" for name in measures))
    for told, row in table.items():
        cells = []
        for name in measures:
            decimals = _DECIMALS.get(name, 1)
            error = f" ± {row[f'{name}_se']:.{decimals}f}" if f"{name}_se" in row else ""
            cells.append(f" {f'{row[name]:.{decimals}f}{error}':>14}")
        print(f"{told:<20}" + "".join(cells))


if __name__ == "__main__":
    main(sys.argv[1:])
