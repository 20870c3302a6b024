"""EF-LSTM beside MMSA's."""

from tests.parity.carry import Theirs
from tests.parity.case import Case, l1, score


def carry(theirs: Theirs) -> dict:
    """The table of names; the number of layers is that of the tensors."""
    layers = sum(name.startswith("lstm.weight_hh_l") for name in theirs.tensors)
    params = {
        "step_norm": theirs.norm("norm"),
        **{f"lstm_{k}": theirs.lstm("lstm", f"_l{k}") for k in range(layers)},
        "dense": theirs.dense("linear"),
        "head": {"output_dense": theirs.dense("out")},
    }
    if theirs.gradients:
        return {"params": params}
    return {"params": params, "batch_stats": {"step_norm": theirs.statistics("norm")}}


CASE = Case(
    ours="ef_lstm",
    theirs="ef_lstm",
    carry=carry,
    faults={"step_norm": True, "count_padding": True},
    outputs={"prediction": score},
    losses={"l1": l1},
    small_theirs={"hidden_dims": 4, "num_layers": 2},
    small_ours={"hidden": 4, "layers": 2, "steps": 5},
)
