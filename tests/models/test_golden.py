"""Models beside small files of MMSA's numbers, which `python -m tests.parity --golden` writes."""

import pytest

from tests.parity import compare


@pytest.mark.parametrize("name", compare.names())
def test_a_model_gives_the_numbers_of_the_reference(name):
    case = compare.case_of(name)
    variables, outputs, gradients = compare.read_golden(name)
    ours, own = case.our_numbers(case.model(small=True), variables, case.batch(small=True))
    assert compare.difference(ours, outputs).value <= compare.OUTPUTS
    assert set(gradients) == set(case.losses)
    for loss, tree in gradients.items():
        found = compare.difference(own[loss], tree)
        assert found.value <= compare.GRADIENTS * min(1.0, found.largest), (loss, found)
