"""Log of a run: metrics.jsonl, TensorBoard, and the line that each epoch prints."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tqdm import tqdm

from msa_jax import metrics
from msa_jax.checkpoint import Checkpoints
from msa_jax.corpora import EMOTIONS, MODALITIES
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.evaluate import Verdict
from msa_jax.files import append, finite, refuse_link, refuse_special, whole_file
from msa_jax.parallel import by_first
from msa_jax.progress import Stopwatch, doing, say

# Of the corpus's metrics, those that an epoch's line shows; metrics.jsonl has all of them.
EPOCH_SHOWN = (
    *("mae", "corr", "acc2_has0", "acc2_non0", "acc2", "f1"),
    *(f"{name}_{emotion}" for emotion in EMOTIONS for name in ("acc", "f1")),
)
_DAMAGED = "\ufffd"  # stands for a byte that is not ASCII, as all lines are written
Sums = dict[str, list[float]]  # by name: the sum of value * clips, and of clips


class MetricLog:
    """metrics.jsonl, one object a line, and the same numbers as TensorBoard events, of the first process."""

    @by_first
    def __init__(self, workdir: Path, *, resume_step: int, judged: bool = True) -> None:
        """Opens the log, and drops lines after `resume_step`: those steps will run again.

        Args:
          workdir: the run's folder.
          resume_step: optimiser steps that the restored state has done; 0 for a new run.
          judged: whether the line of the epoch that ends with that step, if one does, is kept, too.
        """
        path = workdir / "metrics.jsonl"
        refuse_special(path)
        refuse_link(workdir / "tensorboard")
        if path.exists():
            kept = []
            for line in path.read_text(encoding="ascii", errors="replace").splitlines():
                if _DAMAGED in line:
                    continue
                # A kill may have cut a line off.
                with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                    values = json.loads(line)
                    again = values["step"] == resume_step and not judged and "loss_epoch" in values
                    if values["step"] <= resume_step and not again:
                        kept.append(line + "\n")
            with whole_file(path) as f:
                f.writelines(kept)
        self._file = append(path)
        # Not SummaryWriter: on a full disk its thread dies with a traceback, and closing waits for ever.
        (workdir / "tensorboard").mkdir(exist_ok=True)
        self._events = EventsWriter(str(workdir / "tensorboard" / "events"))
        start = SessionLog(status=SessionLog.START)
        self._events.write_event(Event(wall_time=time.time(), step=resume_step + 1, session_log=start))

    @by_first
    def write_step(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Adds a line with `step`, `epoch` and the values; in TensorBoard they are `train/<name>`.

        Args:
          step: optimiser steps done.
          epoch: epochs done, from 0.
          values: numbers of this step by name.
        """
        self._write(step, epoch, values, {f"train/{name}": value for name, value in values.items()})

    @by_first
    def write_epoch(
        self, step: int, epoch: int, means: Mapping[str, float], clips_per_second: float, verdict: Verdict
    ) -> None:
        """Adds the line of an epoch: `<name>_epoch`, `clips_per_second`, `valid_<name>`, `undefined`.

        In TensorBoard they are `train/<name>_epoch`, `train/clips_per_second_epoch` and `valid/<name>`.

        Args:
          step: optimiser steps done.
          epoch: the epoch that has ended, from 0.
          means: of the values of its steps over its clips, by name.
          clips_per_second: trained on in it.
          verdict: of the validation split.
        """
        line: dict[str, Any] = {f"{name}_epoch": value for name, value in means.items()}
        tags = {f"train/{name}": value for name, value in line.items()}
        tags |= {"train/clips_per_second_epoch": clips_per_second}
        tags |= {f"valid/{name}": value for name, value in verdict.values.items()}
        line |= {"clips_per_second": clips_per_second}
        line |= {f"valid_{name}": value for name, value in verdict.values.items()}
        if verdict.undefined:
            line["undefined"] = {f"valid_{name}": why for name, why in verdict.undefined.items()}
        self._write(step, epoch, line, tags)
        self._events.flush()

    def _write(self, step: int, epoch: int, values: Mapping[str, Any], tags: Mapping[str, float]) -> None:
        self._file.write(json.dumps(finite({"step": step, "epoch": epoch, **values})) + "\n")
        self._file.flush()
        for tag, value in tags.items():
            if math.isfinite(value):  # of what is not defined, TensorBoard has no point
                summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
                self._events.write_event(Event(wall_time=time.time(), step=step, summary=summary))

    @by_first
    def close(self) -> None:
        """Flushes both; a second time does nothing."""
        if not self._file.closed:
            with self._file:
                self._events.close()


class StepLog:
    """The steps of a run on their way into its log; each is looked at while the next one runs."""

    def __init__(
        self,
        log: MetricLog,
        checkpoints: Checkpoints,
        shown: tqdm,
        plan: BatchPlan,
        terms: Sequence[str],
        sums: Sums,
        *,
        every: int,
        rate: Callable[[int], Any],
    ) -> None:
        """Starts the clocks.

        Args:
          log: where the lines go.
          checkpoints: of the run, to name the last good one when a loss is not finite.
          shown: the progress bar.
          plan: the batches of the whole run.
          terms: names of the loss's terms, in the order in which an epoch's line shows them.
          sums: the running sums of the epoch, {} at its start; kept up in place, so that a checkpoint has
            them, and a resumed run has the means of the unbroken one.
          every: steps from one line to the next.
          rate: learning rate after a number of steps.
        """
        self._log, self._checkpoints, self._shown, self._plan = log, checkpoints, shown, plan
        self._terms, self._sums, self._every, self._rate = terms, sums, every, rate
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
          terms: its losses, scalars.
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

    def end_epoch(self, step: int, verdict: Verdict, standing: str, *, at_most: bool) -> None:
        """Logs an epoch whose last step was flushed, and prints its line.

        Args:
          step: optimiser steps done.
          verdict: of the validation split.
          standing: which epoch is the best so far, in words; "" where none is.
          at_most: whether the run may end before its last epoch.
        """
        epoch = (step - 1) // self._plan.steps_per_epoch
        means = {name: total / clips for name, (total, clips) in self._sums.items()}
        speed = self._speed(self._epoch_from)
        self._log.write_epoch(step, epoch, means, speed, verdict)
        terms = ", ".join(f"{name} {means[name]:.4f}" for name in self._terms if name in means)
        judged = f"judged by {metrics.in_words({verdict.by: verdict.value}, [verdict.by])}"
        line = [
            f"epoch {epoch + 1}/{self._plan.epochs}",
            f"loss {means['loss']:.4f} ({terms})",
            f"valid: {metrics.in_words(verdict.values, EPOCH_SHOWN)}",
            judged + (f" ({standing})" if standing else ""),
            f"{speed:.0f} clips/s" if speed >= 10 else f"{speed:.1f} clips/s",
        ]
        steps, seconds = self._left_from
        # An epoch that a signal left to be judged is judged before the first step of this start.
        if (left := len(self._plan) - step) and self._steps > steps:
            each = (self._all.seconds - seconds) / (self._steps - steps)
            line.append(f"{'at most ' * at_most}{tqdm.format_interval(left * each)} left")
        say("  ".join(line))
        self._sums.clear()
        self._epoch_from = self._line_from = (self._clips, self._training.seconds)
        self._left_from = (self._steps, self._all.seconds)

    def _speed(self, since: tuple[int, float]) -> float:
        """Clips per second of training since then."""
        clips, seconds = since
        return (self._clips - clips) / max(self._training.seconds - seconds, 1e-9)

    def _record(self, step: int, terms: Mapping[str, Any], clips: int) -> None:
        values = {name: float(value) for name, value in terms.items()}
        if not (math.isfinite(values["loss"]) and math.isfinite(values["grad_norm"])):
            good = self._checkpoints.reject()
            raise UserError(
                f"the loss or its gradient is not finite at step {step} (loss {values['loss']}, gradient "
                f"norm {values['grad_norm']}); {good}; try a lower optim.learning_rate"
            )
        self._checkpoints.seen_finite(step)
        self._clips, self._steps = self._clips + clips, self._steps + 1
        for name, value in values.items():
            if math.isfinite(value):  # a number that is watched may have none in some step
                pair = self._sums.setdefault(name, [0.0, 0])
                pair[0] += value * clips
                pair[1] += clips
        if step % self._every == 0:
            values["learning_rate"] = float(self._rate(step - 1))
            values["clips_per_second"] = self._speed(self._line_from)
            self._line_from = (self._clips, self._training.seconds)
            self._log.write_step(step, (step - 1) // self._plan.steps_per_epoch, values)
            self._shown.set_postfix(loss=f"{values['loss']:.3f}", refresh=False)
