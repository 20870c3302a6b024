"""Models beside small files of MMSA's numbers, which `python -m tests.parity --golden` writes."""

import numpy as np
import pytest

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
