"""Scales of labels: the linear map between two corpora's ranges, and where it is needed."""

import numpy as np
import pytest

from msa_jax.errors import UserError
from msa_jax.scales import rescaling


def test_ends_go_to_ends_and_the_middle_to_the_middle():
    down = rescaling("mosi", "sims", allowed=True)
    scores = np.array([-3, 0, 1.5, 3, 6], np.float32)
    np.testing.assert_allclose(down(scores), [-1, 0, 0.5, 1, 2], atol=1e-7)
    assert down(scores).dtype == np.float32
    np.testing.assert_allclose(rescaling("sims", "mosei", allowed=True)(down(scores)), scores, atol=1e-6)
    assert str(down) == "from [-3, 3] (CMU-MOSI) onto [-1, 1] (CH-SIMS)"


@pytest.mark.parametrize("allowed", [False, True])
def test_one_scale_needs_no_map_and_classes_have_none(allowed):
    for trained, scored in (("mosi", "mosi"), ("mosi", "mosei"), ("ur_funny", "iemocap")):
        assert rescaling(trained, scored, allowed=allowed) is None


def test_another_scale_is_refused_with_the_mend():
    with pytest.raises(UserError, match=r"trained on scores in \[-1, 1\] \(CH-SIMS\).*data\.rescale=True"):
        rescaling("sims", "mosi", allowed=False)
