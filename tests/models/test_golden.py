"""Models beside small files of MMSA's numbers, which `python -m tests.parity --golden` writes."""

import numpy as np
import pytest

from msa_jax.corpora import MODALITIES
from tests.parity import compare
from tests.parity.carry import flat


@pytest.mark.parametrize("name", compare.names())
def test_a_model_gives_the_numbers_of_the_reference(name):
    case = compare.case_of(name)
    variables, outputs, gradients = compare.read_golden(name)
    ours, own = case.our_numbers(case.model(small=True), variables, case.batch(small=True))
    assert compare.difference(ours, outputs).value <= compare.OUTPUTS
    assert set(gradients) == set(case.losses)
    for loss, tree in gradients.items():
        found = compare.difference(own[loss], tree)
        assert found.value <= compare.GRADIENTS, (loss, found)
        assert found.share <= compare.GRADIENTS, (loss, found)


@pytest.mark.parametrize("name", compare.names())
def test_every_parameter_of_a_golden_file_has_a_gradient(name):
    """A small form whose layers are dead would compare zeros."""
    _, _, gradients = compare.read_golden(name)
    largest: dict[str, float] = {}
    for tree in gradients.values():
        for path, x in flat(tree).items():
            largest[path] = max(largest.get(path, 0.0), float(np.abs(x).max()))
    assert [path for path, size in largest.items() if not size] == []


def counting() -> list[str]:
    """Models whose reference counts padding."""
    return [name for name in compare.names() if "count_padding" in compare.case_of(name).faults]


@pytest.mark.parametrize("name", counting())
def test_where_every_step_is_valid_a_model_that_counts_no_padding_gives_the_numbers_of_the_reference(name):
    case = compare.case_of(name)
    variables, outputs, gradients = compare.read_golden(name)
    batch = case.batch(small=True)
    full = batch | {f"{m}_mask": np.ones_like(batch[f"{m}_mask"]) for m in MODALITIES}
    model = case.model(small=True).clone(count_padding=False)
    ours, own = case.our_numbers(model, variables, full)
    assert compare.difference(ours, outputs).value <= compare.OUTPUTS
    for loss, tree in gradients.items():
        found = compare.difference(own[loss], tree)
        assert found.share <= compare.GRADIENTS, (loss, found)
    ragged, _ = case.our_numbers(model, variables, batch, losses=False)
    assert compare.difference(ragged, outputs).value > 10 * compare.OUTPUTS
