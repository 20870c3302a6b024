"""The floor that a model's score on the synthetic corpus is to be read against: the scores of the oracle.

    python -m msa_jax.data.floor

prints it for the default config.
"""

import dataclasses

import numpy as np

from msa_jax.data import synthetic
from msa_jax.data.oracle import GRID, LABELS, Posterior, label_given_sentiment, posterior
from msa_jax.data.synthetic import SyntheticConfig

MODALITIES = {  # use_text, use_audio, use_vision
    "text, audio, vision": (True, True, True),
    "text, audio": (True, True, False),
    "text, vision": (True, False, True),
    "text": (True, False, False),
    "audio, vision": (False, True, True),
}


def scores(found: Posterior, labels: np.ndarray) -> dict[str, float]:
    """Errors of the best prediction for each measure, each made from the posterior for that measure alone.

    Args:
      found: the posterior of N clips.
      labels: [N].

    Returns:
      mae with its standard error mae_se, mse, corr, acc7 and acc2_non0 (in per cent).
    """
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
        table[name] = scores(found, labels)
    nearest = np.abs(np.array([fact.sentiment for fact in facts])[:, None] - GRID).argmin(1)
    told = np.eye(GRID.size)[nearest]
    table["sentiment"] = scores(Posterior(told, told @ label_given_sentiment(config)), labels)
    return table


def main() -> None:
    """Prints the floor of the default corpus."""
    print(f"{'told':<20} {'MAE':>12} {'MSE':>7} {'Corr':>7} {'Acc-7':>7} {'Acc-2':>7}")
    for name, row in floor(SyntheticConfig()).items():
        mae = f"{row['mae']:.3f} ± {row['mae_se']:.3f}"
        print(
            f"{name:<20} {mae:>12} {row['mse']:7.3f} {row['corr']:7.3f} {row['acc7']:7.1f}"
            f" {row['acc2_non0']:7.1f}"
        )


if __name__ == "__main__":
    main()
