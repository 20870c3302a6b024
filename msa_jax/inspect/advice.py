"""Advice on the command to run next, for a file that was inspected."""

from collections.abc import Sequence

from msa_jax.inspect.inspection import Inspection

# A config for files with words, and one for files that bring features of the text in their place.
_CONFIGS = {
    "mosi": ("crosssent_mosi", "mulg_mosi"),
    "mosei": ("crosssent_mosei", "mulg_mosei"),
    "sims": ("crosssent_sims", "amsgfn_sims"),
    "ur_funny": ("tecafn_urfunny", "tecafn_urfunny"),
    "iemocap": ("mulg_iemocap", "mulg_iemocap"),
}
_FEATURES = "--config.text.encoder=features"


def training(found: Inspection, overrides: Sequence[str] = ()) -> list[str]:
    """The arguments of `python -m msa_jax.main` that train on the file; [] where nothing can.

    Args:
      found: a file that a build does not refuse.
      overrides: more arguments, such as --config.data.split_name=NAME.
    """
    if found.refusal or found.corpus is None:
        return []
    words, features = found.has("text"), found.has("text_features")
    if not words and not features:
        return []  # every model here takes text
    config = _CONFIGS[found.corpus][0 if words else 1]
    arguments = [f"--config=configs/{config}.py", f"--config.data.path={found.path}"]
    if not words:
        arguments.append(_FEATURES)
    elif config.startswith("mulg") and not features:
        arguments.append("--config.text.encoder=bert-base-uncased")
    if not found.official:
        arguments.append("--config.data.other_counts=True")
    return [*arguments, *overrides]


def prediction(found: Inspection, overrides: Sequence[str] = ()) -> list[str]:
    """The arguments of `python -m msa_jax.main` that score the clips with a trained run; [] for labels alone.

    Args:
      found: the file.
      overrides: as in `training`.
    """
    if not found.modalities:
        return []
    return ["--mode=predict", "--workdir=RUN", f"--config.data.path={found.path}", *overrides]
