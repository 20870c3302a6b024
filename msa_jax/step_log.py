"""Steps of a training on their way into its log: their sums, the line of each epoch, and what compiles.

Several lanes have a log each, and an epoch's line for all of them.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from msa_jax import metrics
from msa_jax.corpora import EMOTIONS, MODALITIES
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.evaluate import Verdict
from msa_jax.lanes import Lane, numbers
from msa_jax.progress import Stopwatch, doing, say

# Of the corpus's metrics, those that an epoch's line shows; metrics.jsonl has all of them.
EPOCH_SHOWN = (
    *("mae", "corr", "acc2_has0", "acc2_non0", "acc2", "f1"),
    *(f"{name}_{emotion}" for emotion in EMOTIONS for name in ("acc", "f1")),
)


@dataclasses.dataclass(frozen=True)
class Judged:
    """What the validation split says of a lane's epoch.

    Attributes:
      lane: the run.
      verdict: on the epoch.
      best: whether it is the best so far.
      standing: which epoch is, in words; "" where none is.
    """

    lane: Lane
    verdict: Verdict
    best: bool
    standing: str


class StepLog:
    """The steps of a run on their way into its log; each is looked at while the next one runs."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        shown: tqdm,
        plan: BatchPlan,
        terms: Sequence[str],
        *,
        every: int,
        rate: Callable[[int], Any],
    ) -> None:
        """Starts the clocks.

        Args:
          lanes: the runs that take the steps, with their logs open. The running sums of an epoch in their
            progress are kept up in place, so that a checkpoint has them, and a resumed run has the means of
            the unbroken one.
          shown: the progress bar.
          plan: the batches of the whole run.
          terms: names of the loss's terms, in the order in which an epoch's line shows them.
          every: steps from one line to the next.
          rate: learning rate after a number of steps, where no plateau lowers it.
        """
        self._lanes, self._shown, self._plan = lanes, shown, plan
        self._terms, self._every, self._rate = terms, every, rate
        self._pending: tuple[int, Mapping[str, Any], int] | None = None
        self._compiled: set[tuple[int, ...]] = set()
        # Neither counts compiling; the first leaves out validation and checkpoints, too.
        self._training, self._all = Stopwatch(), Stopwatch()
        self._clips, self._steps = 0, 0
        self._line_from, self._epoch_from = (0, 0.0), (0, 0.0)  # clips and seconds of training before
        self._left_from = (0, 0.0)  # steps and seconds in all, before

    @contextlib.contextmanager
    def calling(self, batch: Mapping[str, np.ndarray]) -> Iterator[None]:
        """Around the call of a step: says so where the call has to compile its program first.

        Args:
          batch: of the step; each shape of the plan is compiled once.
        """
        shape = tuple(batch[m].shape[1] for m in MODALITIES)
        if shape in self._compiled or jax.config.jax_disable_jit:
            yield
            return
        self._compiled.add(shape)
        place, count = self._plan.buckets.index(shape) + 1, len(self._plan.buckets)
        self._training.pause()
        self._all.pause()
        with doing(self._shown, f"compiling bucket {place} of {count}"):
            yield
        self._training.resume()
        self._all.resume()

    def add(self, step: int, terms: Mapping[str, Any], clips: int) -> None:
        """Takes a step that may still be running, and logs the one before.

        Args:
          step: optimiser steps done with it.
          terms: its losses, scalars, or [lanes] where there are several.
          clips: in its batch.

        Raises:
          UserError: as `flush`.
        """
        before, self._pending = self._pending, (step, terms, clips)
        if before:
            self._record(*before)

    def flush(self) -> None:
        """Logs the last step, and stops the clock of the training until `restart_clock`.

        Raises:
          UserError: when the loss or its gradient is not finite; names the last good checkpoint.
        """
        last, self._pending = self._pending, None
        self._record(*last)
        self._training.pause()

    def restart_clock(self) -> None:
        """Counts as training again what follows."""
        self._training.resume()

    def end_epoch(self, step: int, judged: Sequence[Judged], *, at_most: bool) -> None:
        """Logs an epoch whose last step was flushed, and prints its line.

        Args:
          step: optimiser steps done.
          judged: the lanes that have not ended.
          at_most: whether the run may end before its last epoch.
        """
        epoch, speed = (step - 1) // self._plan.steps_per_epoch, self._speed(self._epoch_from)
        means = []
        for one in judged:
            sums = one.lane.progress["sums"]
            means.append({name: total / clips for name, (total, clips) in sums.items()})
            one.lane.log.write_epoch(step, epoch, means[-1], speed, one.verdict)
            sums.clear()
        line = [f"epoch {epoch + 1}/{self._plan.epochs}", *self._in_words(judged, means)]
        # An epoch that a signal left to be judged is judged before the first step of this start.
        if speed:
            line.append(f"{speed:.0f} clips/s" if speed >= 10 else f"{speed:.1f} clips/s")
        steps, seconds = self._left_from
        if (left := len(self._plan) - step) and self._steps > steps:
            each = (self._all.seconds - seconds) / (self._steps - steps)
            line.append(f"{'at most ' * at_most}{tqdm.format_interval(left * each)} left")
        say("  ".join(line))
        self._epoch_from = self._line_from = (self._clips, self._training.seconds)
        self._left_from = (self._steps, self._all.seconds)

    def _in_words(self, judged: Sequence[Judged], means: Sequence[Mapping[str, float]]) -> list[str]:
        """Losses, validation and what judges the epoch: of several lanes the means of those that go on."""
        mean = _mean(means)
        terms = ", ".join(f"{name} {mean[name]:.4f}" for name in self._terms if name in mean)
        valid = metrics.in_words(_mean([one.verdict.values for one in judged]), EPOCH_SHOWN)
        line = [f"loss {mean['loss']:.4f} ({terms})", f"valid: {valid}"]
        if len(self._lanes) == 1:
            (one,) = judged
            by = f"judged by {metrics.in_words({one.verdict.by: one.verdict.value}, [one.verdict.by])}"
            return [*line, by + (f" ({one.standing})" if one.standing else "")]
        best = ", ".join(str(one.lane.config.seed) for one in judged if one.best) or "none"
        return [f"mean of {len(judged)} seeds", *line, f"the best so far of seed: {best}"]

    def _speed(self, since: tuple[int, float]) -> float:
        """Clips per second of training since then."""
        clips, seconds = since
        return (self._clips - clips) / max(self._training.seconds - seconds, 1e-9)

    def _record(self, step: int, terms: Mapping[str, Any], clips: int) -> None:
        on_host = {name: np.reshape(np.asarray(value), -1).tolist() for name, value in terms.items()}
        by_lane = [{name: v[k] for name, v in on_host.items()} for k in range(len(self._lanes))]
        going = [(lane, v) for lane, v in zip(self._lanes, by_lane, strict=True) if not lane.ended]
        self._refuse_not_finite(step, going)
        self._clips, self._steps = self._clips + clips, self._steps + 1
        logged, speed = step % self._every == 0, self._speed(self._line_from)
        for lane, values in going:
            lane.checkpoints.seen_finite(step)
            for name, value in values.items():
                if math.isfinite(value):  # a number that is watched may have none in some step
                    pair = lane.progress["sums"].setdefault(name, [0.0, 0])
                    pair[0] += value * clips
                    pair[1] += clips
            if logged:
                factor = lane.progress["plateau"].get("rate_factor", 1.0)
                values["learning_rate"] = float(self._rate(step - 1) * factor)
                values["clips_per_second"] = speed
                lane.log.write_step(step, (step - 1) // self._plan.steps_per_epoch, values)
        if logged:
            self._line_from = (self._clips, self._training.seconds)
            loss = np.mean([values["loss"] for _, values in going])
            self._shown.set_postfix(loss=f"{loss:.3f}", refresh=False)

    def _refuse_not_finite(self, step: int, going: Sequence[tuple[Lane, Mapping[str, float]]]) -> None:
        """UserError where a loss or its gradient is not; before any state is taken for good."""
        broken = [
            (lane, v) for lane, v in going if not (math.isfinite(v["loss"]) and math.isfinite(v["grad_norm"]))
        ]
        if not broken:
            return
        good = {id(lane): lane.checkpoints.reject() for lane, _ in going}
        lane, values = broken[0]
        of_seed, leave_out = "", ""
        if len(self._lanes) > 1:
            of_seed = f" of seed {numbers([one for one, _ in broken])}"
            leave_out = ", or leave it out of --config.seeds"
        raise UserError(
            f"the loss{of_seed} or its gradient is not finite at step {step} (loss {values['loss']}, "
            f"gradient norm {values['grad_norm']}); {good[id(lane)]}; try a lower "
            f"optim.learning_rate{leave_out}"
        )


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """By name the mean over the lanes that have a value."""
    names = dict.fromkeys(name for one in values for name in one)
    return {name: float(np.mean([one[name] for one in values if name in one])) for name in names}
