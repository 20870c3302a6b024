"""What all tests share."""

import jax
import pytest

# A silent [B] + [B, 1] is a bug that no shape check sees.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    """No test writes into the checkout, or sees the user's built corpora."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
