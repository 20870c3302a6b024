"""Which terms each model's loss is made of, as its config's `loss` section weighs them."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool

from msa_jax.corpora import MODALITIES
from msa_jax.losses.classification import cross_entropy
from msa_jax.losses.contrastive import info_nce, nce, nt_xent
from msa_jax.losses.objective import Arrays, Objective, Scalar, Term
from msa_jax.losses.ranking import mpr
from msa_jax.losses.regression import eioi, l1, masked_mean, mse

Section = Mapping[str, Any]
Modalities = tuple[str, ...]
Parts = tuple[tuple[Term, ...], tuple[tuple[str, Callable[[Arrays, Arrays], Scalar]], ...]]
TASKS: dict[str, Callable[[Arrays, Arrays], Scalar]] = {
    "mse": lambda outputs, batch: mse(outputs["prediction"], batch["label"], mask=batch["mask"]),
    "l1": lambda outputs, batch: l1(outputs["prediction"], batch["label"], mask=batch["mask"]),
    "cross_entropy": lambda outputs, batch: cross_entropy(
        outputs["logits"], batch["label"], mask=batch["mask"]
    ),
}


def make_objective(
    model: Mapping[str, Any],
    loss: Mapping[str, Any],
    modalities: tuple[str, ...],
    *,
    epochs: int,
    steps_per_epoch: int,
) -> Objective:
    """The loss that a config describes.

    Args:
      model: the config's `model` section: what the model lacks has no term.
      loss: the config's `loss` section.
      modalities: those that the model has branches for.
      epochs: of the run, for the ramp.
      steps_per_epoch: optimiser steps in an epoch.
    """
    terms, monitors = _TERMS[model["name"]](model, loss, modalities)
    return Objective(
        task_name=loss["task"],
        task=TASKS[loss["task"]],
        terms=terms,
        monitors=monitors,
        ramp_epochs=loss.get("ramp", 0.0) * epochs,
        steps_per_epoch=steps_per_epoch,
    )


def present(batch: Arrays, *modalities: str) -> Bool[Array, " B"]:
    """True for the clips, padding apart, that have a valid step of each of the modalities."""
    rows = jnp.asarray(batch["mask"], bool)
    for m in modalities:
        rows &= jnp.asarray(batch[f"{m}_mask"]).any(1)
    return rows


def _crosssent(model: Section, loss: Section, modalities: Modalities) -> Parts:
    del model, modalities
    pairs = {k: loss[k] for k in ("alpha", "beta", "gamma", "max_pairs")}

    def ranking(outputs: Arrays, batch: Arrays, key: Array) -> Scalar:
        return mpr(outputs["prediction"], batch["label"], **pairs, mask=batch["mask"], key=key)

    def interval(outputs: Arrays, batch: Arrays, key: Array) -> Scalar:
        del key
        return eioi(outputs["prediction"], batch["label"], delta=loss["delta"], mask=batch["mask"])

    return (Term("mpr", loss["mpr_weight"], ranking), Term("eioi", loss["eioi_weight"], interval)), ()


def _tecafn(model: Section, loss: Section, modalities: Modalities) -> Parts:
    """TeCaFN (Huang et al. 2024), eqs. 5-8 (stage 1), 13 (pairs), 14-16 (stage 2), 18."""
    core = model["core"] if model["core"] in modalities else modalities[0]
    others = [m for m in modalities if m != core]
    terms, monitors = [], []
    tau = loss["temperature"]

    def stage1(outputs: Arrays, batch: Arrays, key: Array, m: str) -> Scalar:
        del key
        rows = present(batch, core, m)
        return info_nce(outputs[f"stage1_{core}"], outputs[f"stage1_{m}"], temperature=tau, mask=rows)

    def pair(outputs: Arrays, batch: Arrays, key: Array, m: str) -> Scalar:
        del key
        rows = present(batch, core, m)
        return cross_entropy(outputs[f"pair_logits_{m}"], outputs[f"pair_label_{m}"], mask=rows)

    def replaced(outputs: Arrays, batch: Arrays, m: str) -> Scalar:
        return masked_mean(1.0 - outputs[f"pair_label_{m}"], present(batch, core, m))

    def candidates(outputs: Arrays, batch: Arrays, m: str) -> Scalar:
        return masked_mean(outputs[f"candidates_{m}"].astype(jnp.float32), present(batch, core, m))

    for m in others:
        if m in model["contrast"]:
            terms.append(Term(f"contrast_{m}", loss["contrast_weight"], functools.partial(stage1, m=m)))
        if m in model["replace"] and model["p"]:
            terms.append(Term(f"pair_{m}", loss["pair_weight"], functools.partial(pair, m=m)))
            monitors.append((f"replaced_{m}", functools.partial(replaced, m=m)))
            monitors.append((f"candidates_{m}", functools.partial(candidates, m=m)))
    if len(others) == 2 and model["bicon"]:

        def stage2(outputs: Arrays, batch: Arrays, key: Array) -> Scalar:
            del key
            first, second = (outputs[f"stage2_{m}"] for m in others)
            rows = present(batch, *modalities)
            return info_nce(first, second, temperature=tau, mask=rows, symmetric=True)

        terms.append(Term("bicon", loss["contrast_weight"], stage2))
    return tuple(terms), tuple(monitors)


def _mulg(model: Section, loss: Section, modalities: Modalities) -> Parts:
    del model, loss, modalities
    return (), ()


def _amsgfn(model: Section, loss: Section, modalities: Modalities) -> Parts:
    """AMSGFN (He 2026), eqs. 1-2 (alignment), 18 (correlation), 19; the balance term is ours."""
    terms = []
    pairs = [(m, n) for i, m in enumerate(modalities) for n in modalities[i + 1 :]]

    def align(outputs: Arrays, batch: Arrays, key: Array) -> Scalar:
        del key
        return sum(
            nt_xent(
                outputs[f"align_{m}"],
                outputs[f"align_{n}"],
                temperature=loss["temperature"],
                mask=present(batch, m, n),
            )
            for m, n in pairs
        )

    def correlation(outputs: Arrays, batch: Arrays, key: Array) -> Scalar:
        del key
        return sum(
            nce(
                outputs[f"cor_prediction_{m}"],
                outputs[f"cor_target_{m}"],
                temperature=loss["cor_temperature"],
                mask=present(batch, m),
            )
            for m in modalities
        )

    def balance(outputs: Arrays, batch: Arrays, key: Array) -> Scalar:
        """Divergence of the mean scores from equal shares: 0 when each modality weighs the same."""
        del key
        rows = present(batch, *modalities)
        shares = [masked_mean(outputs["scores"][:, MODALITIES.index(m)], rows) for m in modalities]
        share = jnp.stack(shares)
        divergence = jnp.sum(share * jnp.log(jnp.maximum(share, 1e-9) * len(modalities)))
        return jnp.where(rows.any(), divergence, 0.0)

    if pairs and model["align"]:
        terms.append(Term("align", loss["align_weight"], align))
    if model["cor"]:
        terms.append(Term("cor", loss["cor_weight"], correlation))
    if len(modalities) > 1:
        terms.append(Term("balance", loss["balance_weight"], balance))

    def share(outputs: Arrays, batch: Arrays, m: str) -> Scalar:
        chosen = outputs["dominant"] == MODALITIES.index(m)
        return masked_mean(chosen.astype(jnp.float32), jnp.asarray(batch["mask"], bool))

    return tuple(terms), tuple((f"share_{m}", functools.partial(share, m=m)) for m in modalities)


_TERMS: dict[str, Callable[[Section, Section, Modalities], Parts]] = {
    "crosssent": _crosssent,
    "tecafn": _tecafn,
    "mulg": _mulg,
    "amsgfn": _amsgfn,
}
