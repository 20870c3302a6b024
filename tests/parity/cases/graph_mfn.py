"""Graph-MFN beside MMSA's."""

from typing import Any

import numpy as np

from tests.parity.carry import Theirs
from tests.parity.case import Case, l1, score

NAMES = {"text": "l", "audio": "a", "vision": "v"}
NODES = {
    "text_audio": "01",
    "text_vision": "02",
    "audio_vision": "12",
    "text_audio_vision": "012",
}


def make(args: Any) -> Any:
    """Their module, with what it leaves in a plain dict registered, and the graph's inner width a choice."""
    import torch
    from MMSA.models.AMIO import AMIO
    from MMSA.models.singleTask.Graph_MFN import DynamicFusionGraph

    module = AMIO(args).Model
    if "graph_hidden" in args:
        width = args.inner_node_dim
        pattern, efficacy = (torch.nn.Sequential(torch.nn.Linear(args.graph_hidden, width)) for _ in range(2))
        module.graph_mfn = DynamicFusionGraph(pattern, args.hidden_dims, width, efficacy, args.device)
    for key, network in module.graph_mfn.networks.items():
        module.add_module("node_" + "".join(map(str, key)), network)
    return module


def graph(theirs: Theirs) -> dict:
    """The fusion graph: of the first layer of each network, ours keeps the rows of a vertex at the vertex."""
    networks = {"efficacy": "graph_mfn.efficacy_model", "summary": "graph_mfn.t_network"}
    networks |= {ours: f"node_{key}" for ours, key in NODES.items()}
    layers = {name: theirs.dense(f"{its}.0") for name, its in networks.items()}
    out = {f"{name}_bias": layer["bias"] for name, layer in layers.items()}
    out |= {f"{name}_1": theirs.dense(f"{its}.1.0") for name, its in networks.items()}
    out["efficacy_2"] = theirs.dense("graph_mfn.efficacy_model.2")
    widths = {m: theirs(f"lstm_{its}.weight_hh").shape[1] for m, its in NAMES.items()}
    widths |= dict.fromkeys(NODES, out["summary_1"]["bias"].size)
    rows: dict[str, list[np.ndarray]] = {vertex: [] for vertex in widths}
    ends = {
        "efficacy": list(NAMES),
        **{end: [v for v in widths if set(v.split("_")) < set(end.split("_"))] for end in NODES},
        "summary": list(widths),
    }
    for end, starts in ends.items():
        places = np.cumsum([widths[v] for v in starts])[:-1]
        for vertex, part in zip(starts, np.split(layers[end]["kernel"], places), strict=True):
            rows[vertex].append(part)
    return {**out, **{f"from_{v}": {"kernel": np.concatenate(parts, axis=1)} for v, parts in rows.items()}}


def vertex(theirs: Theirs, name: str) -> dict:
    """A Dense layer over two states: ours has both halves side by side."""
    layer = theirs.dense(name)
    return {"dense": {"kernel": np.concatenate(np.split(layer["kernel"], 2), axis=1)}, "bias": layer["bias"]}


def memory(theirs: Theirs) -> dict:
    """The gated memory: both gates of ours share the matrices that are multiplied together."""
    (keep, write), (keep_out, write_out) = (
        [theirs.dense(f"gamma{n}_fc{layer}") for n in (1, 2)] for layer in (1, 2)
    )
    kernel = np.concatenate([keep["kernel"], write["kernel"]], axis=1)
    seen = len(kernel) - keep_out["bias"].size
    inputs = {"kernel": kernel[:seen], "bias": np.concatenate([keep["bias"], write["bias"]])}
    own = {
        "memory_kernel": kernel[seen:],
        **{f"retain_{name}": x for name, x in keep_out.items()},
        **{f"update_{name}": x for name, x in write_out.items()},
    }
    return {"memory_input": inputs, "memory": own}


def carry(theirs: Theirs) -> dict:
    """The table of names."""
    return {
        "params": {
            **{f"{m}_lstm": theirs.lstm(f"lstm_{its}") for m, its in NAMES.items()},
            **{f"{m}_vertex": vertex(theirs, f"{its}_transform") for m, its in NAMES.items()},
            "graph": graph(theirs),
            "proposal": theirs.dense("att2_fc1"),
            "proposal_out": theirs.dense("att2_fc2"),
            **memory(theirs),
            "output": theirs.dense("out_fc1"),
            "head": {"output_dense": theirs.dense("out_fc2")},
        }
    }


def efficacies(out: Any) -> Any:
    """[B, T, 19] of their list of arrays, which have left PyTorch."""
    import torch

    return torch.from_numpy(np.stack(out["Efficacies"], axis=1))


CASE = Case(
    ours="graph_mfn",
    theirs="graph_mfn",
    carry=carry,
    make=make,
    faults={"efficacy": "none", "graph_activation": "none", "count_padding": True},
    outputs={
        "prediction": score,
        "efficacies": efficacies,
    },
    losses={"l1": l1},
    small_theirs={
        "hidden_dims": [4, 3, 2],
        "memsize": 4,
        "inner_node_dim": 3,
        "graph_hidden": 5,
        "NNConfig": {"drop": 0.0, "shapes": 3},
        "gamma1Config": {"drop": 0.0, "shapes": 3},
        "gamma2Config": {"drop": 0.0, "shapes": 2},
        "outConfig": {"drop": 0.0, "shapes": 4},
    },
    small_ours={
        "text_hidden": 4,
        "audio_hidden": 3,
        "vision_hidden": 2,
        "memory": 4,
        "vertex_width": 3,
        "graph_hidden": 5,
        "proposal_hidden": 3,
        "retain_hidden": 3,
        "update_hidden": 2,
        "output_hidden": 4,
    },
)
