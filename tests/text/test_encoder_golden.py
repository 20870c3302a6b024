"""Encoders against the PyTorch models of transformers (golden/make_golden.py)."""

from pathlib import Path

import jax
import numpy as np
import pytest

from msa_jax.text import load_encoder

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    "case", ["bert_gelu", "bert_relu", "roberta_gelu", "roberta_gelu_new", "xlm_roberta", "camembert"]
)
def test_small_models_equal_pytorch(case, small_model):
    folder, want = small_model(case)
    encoder, variables = load_encoder(str(folder))
    out = jax.jit(encoder.apply)(variables, want["ids"], want["mask"], want["types"])
    np.testing.assert_allclose(out.hidden_states, want["hidden_states"], atol=1e-5)
    np.testing.assert_allclose(out.attentions, want["attentions"], atol=1e-5)
    np.testing.assert_array_equal(out.last_hidden_state, out.hidden_states[-1])


def test_minilm_equals_pytorch(minilm):
    with np.load(GOLDEN / "minilm.npz") as file:
        want = dict(file)
    encoder, variables = load_encoder(minilm)
    mask = want["ids"] != 0
    out = jax.jit(encoder.apply)(variables, want["ids"], mask)
    hidden, attentions = np.asarray(out.hidden_states[:, :, ::4]), np.asarray(out.attentions[:, :, ::4])
    np.testing.assert_allclose(
        np.asarray(out.last_hidden_state)[mask], want["last_hidden_state"][mask], atol=1e-5
    )
    np.testing.assert_allclose(hidden[:, mask[:, ::4]], want["hidden_states"][:, mask[:, ::4]], atol=1e-5)
    np.testing.assert_allclose(attentions, want["attentions"], atol=1e-5)
    # This model multiplies rounding errors at padding: there PyTorch itself is 6e-5 from its float64 result.
    np.testing.assert_allclose(out.last_hidden_state, want["last_hidden_state"], atol=2e-4)
