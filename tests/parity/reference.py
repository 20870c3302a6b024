"""Reference: MMSA's models, made without its program, and what they compute on a random batch."""

from typing import Any

import numpy as np

from tests.parity.carry import Theirs
from tests.parity.case import Arrays, Case


def arguments(case: Case, *, small: bool) -> Any:
    """MMSA's own arguments of a model for CMU-MOSI, of which the small form changes the sizes."""
    from MMSA.config import get_config_regression

    args = get_config_regression(case.theirs, "mosi")
    _, steps, widths = case.sizes(small=small)
    args.update(
        feature_dims=list(widths),
        seq_lens=[steps] * 3,
        train_mode="regression",
        device="cpu",
        need_model_aligned=False,
    )
    if args.get("need_data_aligned"):
        args.seq_lens = steps
    if small:
        args.update(case.small_theirs)
    if case.prepare is not None:
        case.prepare(args)
    return args


def make(case: Case, *, small: bool, seed: int = 0) -> tuple[Any, Any]:
    """(MMSA's module in evaluation mode, its arguments); what it normalises by is random, too."""
    import torch
    from MMSA.models.AMIO import AMIO

    torch.manual_seed(seed)
    args = arguments(case, small=small)
    module = AMIO(args).Model if case.make is None else case.make(args)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.running_mean.normal_(std=0.3)
            part.running_var.uniform_(0.5, 1.5)
    return module.eval(), args


def tensors(module: Any, *, gradients: bool = False) -> Theirs:
    """The parameters and buffers of a module, or its parameters' gradients (0 where there is none)."""
    if not gradients:
        return Theirs({k: v.detach().numpy().copy() for k, v in module.state_dict().items()})
    return Theirs(
        {
            k: np.zeros(tuple(p.shape), np.float32) if p.grad is None else p.grad.numpy().copy()
            for k, p in module.named_parameters()
        },
        gradients=True,
    )


def call(case: Case, module: Any, batch: Arrays, args: Any) -> Any:
    """What MMSA's module returns for a batch."""
    import torch

    inputs = {k: torch.from_numpy(v) for k, v in batch.items()}
    if case.averaged:
        inputs |= {m: inputs[m].mean(1, keepdim=True) for m in ("audio", "vision")}
    if case.call is not None:
        return case.call(module, inputs, args)
    return module(inputs["text"], inputs["audio"], inputs["vision"])


def numbers(case: Case, module: Any, batch: Arrays, args: Any) -> tuple[Arrays, dict[str, Any]]:
    """(outputs by our names, for each loss the gradient, as a tree of ours)."""
    import torch

    label = torch.from_numpy(batch["label"])
    found = call(case, module, batch, args)
    outputs = {name: pick(found).detach().numpy() for name, pick in case.outputs.items()}
    gradients = {}
    for name, loss in case.losses.items():
        module.zero_grad()
        loss(module, call(case, module, batch, args), label).backward()
        gradients[name] = case.carry(tensors(module, gradients=True))["params"]
    return outputs, gradients
