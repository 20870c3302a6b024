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


def test_a_wrong_number_is_found():
    assert compare.difference({"a": np.zeros(2)}, {"a": np.array([0.0, 0.5])}).where == "a"
    assert compare.difference({"a": np.array(np.nan), "b": 1.0}, {"a": 1.0, "b": 1.0}).value == np.inf
    small = compare.difference({"a": 1.0, "b": 2e-4}, {"a": 1.0, "b": 1e-4})
    assert small.value < 2e-4
    assert small.share > 0.9
    assert flat({"a": {"b": 1.0}}) == {"a/b": 1.0}


def test_what_counts_as_noise_is_small_beside_the_largest_number_and_beside_1e_7():
    def share(other, *, largest):
        ours, theirs = {"a": largest, "b": other}, {"a": largest, "b": 0.0}
        return compare.difference(ours, theirs).share

    assert share(0.9e-9, largest=1e-3) <= 0
    assert share(1.2e-9, largest=1e-3) > compare.GRADIENTS
    assert share(0.9e-7, largest=10.0) <= 0
    assert share(1.2e-7, largest=10.0) > compare.GRADIENTS
