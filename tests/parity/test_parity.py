"""Models beside MMSA's at the published sizes for CMU-MOSI, with its weights."""

import pytest

from msa_jax.models import names as shipped
from tests.parity import compare, reference

for module in ("torch", "MMSA"):
    pytest.importorskip(module, reason=f'{module} is not installed (pip install ".[parity]")')

# PyTorch and MMSA warn of themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", compare.names())
def test_the_weights_of_the_reference_give_its_outputs_and_its_gradients(name):
    case = compare.case_of(name)
    found = compare.compare(case)
    assert found.outputs.value <= compare.OUTPUTS, found.outputs
    assert set(found.gradients) >= {"l1"}
    for loss, one in found.gradients.items():
        assert one.largest > 0, loss
        assert one.value <= compare.GRADIENTS, (loss, one)
        assert one.share <= compare.GRADIENTS, (loss, one)  # the gradient of each parameter by itself
    assert found.unused == []


@pytest.mark.parametrize("name", compare.names())
def test_the_golden_file_is_what_the_reference_gives(name):
    case = compare.case_of(name)
    module, args = reference.make(case, small=True)
    outputs, gradients = reference.numbers(case, module, case.batch(small=True), args)
    variables, golden, golden_gradients = compare.read_golden(name)
    assert compare.difference(variables, case.carry(reference.tensors(module))).value <= 1e-6
    assert compare.difference(golden, outputs).value <= 1e-6
    for loss, tree in gradients.items():
        found = compare.difference(golden_gradients[loss], tree)
        # Numbers above 1 have fewer digits behind the point, and another CPU sums in another order.
        assert found.value <= (1e-6 if found.largest <= 1 else 5e-6 * found.largest)


def test_every_shipped_model_of_the_reference_has_a_case():
    from MMSA.config import get_config_regression
    from MMSA.models.AMIO import AMIO  # noqa: F401

    theirs = set()
    for name in shipped():
        asked = {"mag_bert": "bert_mag"}.get(name, name)
        try:
            get_config_regression(asked, "mosi")
        except KeyError:
            continue
        theirs.add(name)
    assert theirs == set(compare.names())
