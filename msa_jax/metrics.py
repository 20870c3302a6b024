"""Metrics of the field, each computed once over a whole split, in float64, on the host.

`evaluate` gives the numbers, `explained` beside them why some are not defined, `results` both as
`results.json` holds them. Two Acc-2 and two F1 are always given for CMU-MOSI and CMU-MOSEI, because papers
mix them: `has0` is non-negative against negative over all clips, `non0` is positive against negative over the
clips whose label is not zero. On CH-SIMS, `acc2` and `f1`
are positive against the rest over all clips, and those with `_non0` leave out the neutral clips as above.
On these three, `f1` is the mean of the classes' F1 weighted by their clips, and `f1_macro` beside it the
plain mean, which CrossSent reports.
"""

import decimal
import functools
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import cohen_kappa_score, f1_score, precision_score, recall_score

from msa_jax.corpora import CORPORA, EMOTIONS
from msa_jax.errors import ArgumentError

# Of the metrics that an epoch may be chosen by.
LOWER_IS_BETTER = frozenset({"mae", "jump2", "mean_abs_jump", "mean_abs_jump3"})

# CH-SIMS bins are right-closed: a label of exactly 0.1 is neutral. Stored as float32 it reads
# 0.10000000149, which a comparison in float64 against 0.1 puts on the positive side; toolkits that bin
# float32 arrays against float64 cuts do just that. Values are rounded to 1e-6 before they are binned.
SIMS_CUTS = {2: (0.0,), 3: (-0.1, 0.1), 5: (-0.7, -0.1, 0.1, 0.7)}

_SLACK = 1e-6  # labels went through float32 in most files
NOT_DEFINED = "not defined"
Measured = float | str  # a value, or why there is none
_NO_CLIPS = "all labels are 0"  # the one way to lose all clips: some metrics leave those labels out


def evaluate(corpus: str, predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Every metric that papers report on a corpus.

    Args:
      corpus: "mosi", "mosei", "sims", "ur_funny" or "iemocap".
      predictions: [N] scores ("mosi", "mosei", "sims"); [N, 2] logits or [N] classes ("ur_funny");
        [N, 4, 2] logits or [N, 4] classes, in the order of `EMOTIONS` ("iemocap").
      labels: [N] scores or classes; [N, 4] classes for "iemocap".

    Returns:
      A dict of Python floats. Accuracies and F1 lie in [0, 1]. A metric that is not defined on the data
      (the correlation of a constant, Acc-2 over no clips) is NaN. As in scikit-learn, a class that is never
      predicted has precision 0.

    Raises:
      ArgumentError: (a UserError and a ValueError) for an unknown corpus, no clips, shapes that do not match,
        what is not real numbers, values that are not finite, labels outside the corpus's scale, or classes
        that there are not.
    """
    return explained(corpus, predictions, labels)[0]


def explained(
    corpus: str, predictions: ArrayLike, labels: ArrayLike
) -> tuple[dict[str, float], dict[str, str]]:
    """Every metric, and by the names of those that are not defined the reason; otherwise as `evaluate`."""
    _check_corpus(corpus)
    p, y = _numbers("predictions", predictions), _numbers("labels", labels)
    if not len(y):
        raise ArgumentError("there are no clips to evaluate")
    for name, values in (("predictions", p), ("labels", y)):
        if not np.isfinite(values).all():
            place = np.argwhere(~np.isfinite(values))[0].tolist()
            raise ArgumentError(f"{name} must be finite, and {name}{place} is {values[tuple(place)]}")
    _refuse_other_scale(corpus, y)
    with np.errstate(all="ignore"):  # what overflows is not defined, and said below
        measured = _EVALUATORS[corpus](p, y)
    undefined = {
        key: value if isinstance(value, str) else "the numbers are too large or too close together"
        for key, value in measured.items()
        if isinstance(value, str) or not math.isfinite(value)
    }
    values = {key: math.nan if key in undefined else float(value) for key, value in measured.items()}
    return values, undefined


def results(corpus: str, predictions: ArrayLike, labels: ArrayLike) -> dict[str, Any]:
    """Every metric as `results.json` holds it; arguments and errors as for `evaluate`.

    Returns:
      The numbers, None for those that are not defined; where there are such, also `undefined`: the reason
      for each.
    """
    values, undefined = explained(corpus, predictions, labels)
    values |= dict.fromkeys(undefined)
    return {**values, "undefined": undefined} if undefined else values


def in_words(values: Mapping[str, Any], names: Iterable[str]) -> str:
    """The metrics of these names that are there, for a line of text; None and NaN are not defined."""
    there = [(name, values[name]) for name in names if name in values]
    return "  ".join(
        f"{name} {NOT_DEFINED if value is None or math.isnan(value) else format(value, '.4f')}"
        for name, value in there
    )


def _check_corpus(corpus: object) -> None:
    if not isinstance(corpus, str) or corpus not in _EVALUATORS:
        raise ArgumentError(f"unknown corpus {corpus!r}; known: {', '.join(_EVALUATORS)}")


def _numbers(name: str, values: Any) -> np.ndarray:
    """float64 [N, ...] of what a caller gives as real numbers.

    Raises:
      ArgumentError: when it is something else; says what.
    """
    if np.ma.count_masked(values) if isinstance(values, np.ma.MaskedArray) else False:
        raise ArgumentError(f"{name} has masked entries, which are not numbers; leave these clips out")
    try:
        array = np.asarray(values)
        small = array.dtype.kind == "V" and array.dtype.names is None  # bfloat16 and the like
        parts = array.ravel().tolist() if array.dtype == object else ()
        if array.dtype.kind not in "biuf" and not small and array.dtype != object:
            raise ArgumentError(f"{name} holds {array.dtype.name} values, not real numbers")
        if odd := [v for v in parts if not isinstance(v, numbers.Real | decimal.Decimal)]:
            raise ArgumentError(f"{name} holds {odd[0]!r}, which is not a real number")
        array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as e:
        if isinstance(e, ArgumentError):
            raise
        raise ArgumentError(f"{name} is not an array of numbers: {str(e).splitlines()[0]}") from None
    if array.ndim == 0:
        raise ArgumentError(f"{name} is {values!r}, not an array with one entry a clip")
    return array


def _refuse_other_scale(corpus: str, labels: np.ndarray) -> None:
    """ArgumentError where a label lies outside the scores that the corpus has; predictions may."""
    facts = CORPORA[corpus]
    outside = (labels < facts.low - _SLACK) | (labels > facts.high + _SLACK)
    if not facts.outputs and outside.any():
        place = np.argwhere(outside)[0].tolist()
        raise ArgumentError(
            f"labels must lie in [{facts.low:g}, {facts.high:g}], as {facts.title}'s do, and labels{place} "
            f"is {labels[tuple(place)]:g}; bring them onto that scale, or name their corpus"
        )


def _refuse_other_classes(name: str, values: np.ndarray) -> None:
    """ArgumentError where a class is neither 0 nor 1."""
    if len(odd := values[~np.isin(values, (0, 1))]):
        raise ArgumentError(f"{name} holds the class {odd[0]:g}; the classes are 0 and 1")


def _scores(p: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[N] or [N, 1] scores, as [N]."""
    p, y = (v[:, 0] if v.ndim == 2 and v.shape[1] == 1 else v for v in (p, y))
    if p.ndim != 1 or p.shape != y.shape:
        raise ArgumentError(f"expected one score per clip, got predictions {p.shape} and labels {y.shape}")
    return p, y


def _corr(p: np.ndarray, y: np.ndarray) -> Measured:
    if len(p) == 1:
        return "there is only one clip"
    if np.ptp(p) == 0:
        return "all predictions are equal"
    if np.ptp(y) == 0:
        return "all labels are equal"
    return np.corrcoef(p, y)[0, 1]


def _weighted(metric: Callable, y: np.ndarray, p: np.ndarray, average: str = "weighted") -> Measured:
    return metric(y, p, average=average, zero_division=0) if len(y) else _NO_CLIPS


def _accuracy(y: np.ndarray, p: np.ndarray) -> Measured:
    return np.mean(p == y) if len(y) else _NO_CLIPS


def _levels(v: np.ndarray, k: int) -> np.ndarray:
    """Ordinal levels -k .. k; halves go to the even neighbour, as NumPy rounds."""
    return np.round(np.clip(v, -k, k)).astype(int)


def _qwk(y: np.ndarray, p: np.ndarray, k: int) -> Measured:
    if np.array_equal(y, p) and np.ptp(y) == 0:  # no disagreement is expected by chance: 0 / 0
        return "all labels and predictions are on one level"
    return cohen_kappa_score(y, p, labels=np.arange(-k, k + 1), weights="quadratic")


def _mosi(p: np.ndarray, y: np.ndarray) -> dict[str, Measured]:
    p, y = _scores(p, y)
    out = {"mae": np.mean(np.abs(p - y)), "corr": _corr(p, y)}
    for name, k in (("acc7", 3), ("acc5", 2), ("acc3", 1)):
        out[name] = _accuracy(_levels(y, k), _levels(p, k))
    nonzero = y != 0
    tasks = {"has0": (y >= 0, p >= 0), "non0": (y[nonzero] > 0, p[nonzero] > 0)}
    for name, (truth, guess) in tasks.items():
        out[f"acc2_{name}"] = _accuracy(truth, guess)
        out[f"f1_{name}"] = _weighted(f1_score, truth, guess)
        out[f"f1_macro_{name}"] = _weighted(f1_score, truth, guess, "macro")
    out["precision_non0"] = _weighted(precision_score, *tasks["non0"])
    out["recall_non0"] = _weighted(recall_score, *tasks["non0"])
    y7, p7 = _levels(y, 3), _levels(p, 3)
    jump = np.abs(y7 - p7)
    out.update(qwk=_qwk(y7, p7, 3), jump2=np.mean(jump >= 2), mean_abs_jump=np.mean(jump))
    return out


def _sims(p: np.ndarray, y: np.ndarray) -> dict[str, Measured]:
    p, y = (np.clip(v, -1, 1) for v in _scores(p, y))
    out = {"mae": np.mean(np.abs(p - y)), "corr": _corr(p, y)}
    p, y = np.round(p, 6), np.round(y, 6)
    for k, cuts in SIMS_CUTS.items():
        out[f"acc{k}"] = _accuracy(np.digitize(y, cuts, right=True), np.digitize(p, cuts, right=True))
    nonzero = y != 0
    out["acc2_non0"] = _accuracy(y[nonzero] > 0, p[nonzero] > 0)
    for name, kept in (("", np.ones_like(nonzero)), ("_non0", nonzero)):
        truth, guess = y[kept] > 0, p[kept] > 0
        out[f"f1{name}"] = _weighted(f1_score, truth, guess)
        out[f"f1_macro{name}"] = _weighted(f1_score, truth, guess, "macro")
    y5, p5, y3, p3 = _levels(2 * y, 2), _levels(2 * p, 2), _levels(y, 1), _levels(p, 1)
    jump5, jump3 = np.abs(y5 - p5), np.abs(y3 - p3)
    out.update(qwk5=_qwk(y5, p5, 2), jump2=np.mean(jump5 >= 2), mean_abs_jump=np.mean(jump5))
    out.update(qwk3=_qwk(y3, p3, 1), mean_abs_jump3=np.mean(jump3))
    return out


def _ur_funny(p: np.ndarray, y: np.ndarray) -> dict[str, Measured]:
    p = p.argmax(-1) if p.ndim == 2 and p.shape[1] == 2 else p
    p, y = _scores(p, y)
    _refuse_other_classes("predictions", p)
    _refuse_other_classes("labels", y)
    return {"acc2": _accuracy(y, p), "f1": _weighted(f1_score, y, p)}


def _iemocap(p: np.ndarray, y: np.ndarray) -> dict[str, Measured]:
    p = p.argmax(-1) if p.ndim == 3 and p.shape[2] == 2 else p
    if p.shape != y.shape or y.shape[1:] != (len(EMOTIONS),):
        raise ArgumentError(f"expected [N, 4] classes, got predictions {p.shape} and labels {y.shape}")
    _refuse_other_classes("predictions", p)
    _refuse_other_classes("labels", y)
    out = {}
    for k, emotion in enumerate(EMOTIONS):
        out[f"acc_{emotion}"] = _accuracy(y[:, k], p[:, k])
        out[f"f1_{emotion}"] = _weighted(f1_score, y[:, k], p[:, k])
    return out


_EVALUATORS: dict[str, Callable[[np.ndarray, np.ndarray], dict[str, Measured]]] = {
    "mosi": _mosi,
    "mosei": _mosi,
    "sims": _sims,
    "ur_funny": _ur_funny,
    "iemocap": _iemocap,
}


@functools.cache
def keys(corpus: str) -> tuple[str, ...]:
    """The names of a corpus's metrics, as `evaluate` returns them; ArgumentError for an unknown corpus."""
    _check_corpus(corpus)
    p, y = np.linspace(-1, 1, 6), np.linspace(-0.9, 1, 6)
    if CORPORA[corpus].outputs:
        shape = CORPORA[corpus].label_shape
        p, y = (np.broadcast_to(v.reshape(-1, *(1,) * len(shape)) > 0, (6, *shape)) for v in (p, y))
    return tuple(evaluate(corpus, p, y))
