"""Log of a run: metrics.jsonl, and the same numbers for TensorBoard."""

import contextlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from msa_jax.agreement import by_first
from msa_jax.evaluate import Verdict
from msa_jax.files import append, finite, refuse_link, refuse_special, whole_file

_DAMAGED = "\ufffd"  # stands for a byte that is not ASCII, as all lines are written


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
          clips_per_second: trained on in it; 0, which is left out, where that was before this start.
          verdict: of the validation split.
        """
        line: dict[str, Any] = {f"{name}_epoch": value for name, value in means.items()}
        tags = {f"train/{name}": value for name, value in line.items()}
        if clips_per_second:
            line |= {"clips_per_second": clips_per_second}
            tags |= {"train/clips_per_second_epoch": clips_per_second}
        tags |= {f"valid/{name}": value for name, value in verdict.values.items()}
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
