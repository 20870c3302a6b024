"""TeCaFN as its paper prints it, beside the order of its program."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from msa_jax import config as configs
from msa_jax.layers.attention import most_heads
from msa_jax.layers.convolution import MaskedConv
from msa_jax.layers.recurrent import LSTM
from msa_jax.layers.transformer import Transformer, with_positions
from msa_jax.models.tecafn import TeCaFN
from tests.layers.doubles import draw

AUDIO, VISION = 6, 7  # raw widths; the second has no divisor but 7


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    out = {"mask": np.ones(3, bool), "text_mask": np.ones((3, 4), bool)}
    out["text"] = rng.normal(size=(3, 4, 5)).astype(np.float32)
    for m, width in (("audio", AUDIO), ("vision", VISION)):
        out[m] = rng.normal(size=(3, 6, width)).astype(np.float32)
        out[f"{m}_mask"] = np.arange(6)[None] < np.array([[6], [3], [1]])
    return out


class States(TeCaFN):
    """The states of one modality before any attention to another."""

    @nn.compact
    def __call__(self, m, batch):
        return self._states(m, batch, train=False)


def small(**fields):
    sizes = {"width": 4, "encoder_layers": 1, "cross_layers": 1, "head_hidden": 4}
    return TeCaFN(**sizes, **fields)


@pytest.fixture(scope="module")
def params(batch):
    """Of the printed order, random throughout."""
    return draw(small(convolution="last"), batch)


def test_in_the_printed_order_the_convolution_stands_behind_the_lstm(batch, params):
    assert params["audio_projection"]["conv"]["kernel"].shape == (1, AUDIO, 4)
    assert params["vision_lstm"]["recurrent_kernel"].shape == (VISION, 4 * VISION)

    for m, width, heads in (("audio", AUDIO, 2), ("vision", VISION, 1)):
        mask = batch[f"{m}_mask"]
        layer = Transformer(layers=1, heads=heads, ffn_width=4 * width)
        states = States(convolution="last", width=4, encoder_layers=1)

        @jax.jit
        def both(params, batch, m=m, width=width, mask=mask, layer=layer, states=states):
            given = with_positions(batch[m], scale=True)
            x, _ = layer.apply({"params": params[f"{m}_encoder"]}, given, None, mask, train=False)
            x = LSTM(width).apply({"params": params[f"{m}_lstm"]}, x, mask)
            expected = MaskedConv(4).apply({"params": params[f"{m}_projection"]}, x, mask)
            return expected, states.apply({"params": params}, m, batch)

        expected, found = both(params, batch)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert np.abs(expected).max() > 1e-3


def test_padding_changes_nothing_in_the_printed_order(batch, params):
    score = jax.jit(
        lambda b: small(convolution="last").apply({"params": params}, b, train=False)["prediction"]
    )
    longer = dict(batch)
    for m in ("audio", "vision"):
        longer[m] = np.pad(batch[m], ((0, 0), (0, 3), (0, 0)), constant_values=9)
        longer[f"{m}_mask"] = np.pad(batch[f"{m}_mask"], ((0, 0), (0, 3)))
    short, long = score(batch), score(longer)
    np.testing.assert_allclose(short, long, atol=1e-5)


def test_the_most_heads_that_divide_a_width():
    expected = {(2, 74): 2, (2, 47): 1, (5, 30): 5, (4, 30): 3, (8, 64): 8}
    assert {args: most_heads(*args) for args in expected} == expected


@pytest.mark.parametrize("width", [16, 30, 32, 64])
def test_the_shipped_heads_divide_every_width_that_the_paper_and_its_program_have(width):
    config, _ = configs.load("configs/tecafn_mosi.py")
    assert width % config.model.heads == 0


def test_the_training_settings_are_those_of_its_program():
    for corpus in ("mosi", "mosei", "urfunny"):
        optim, text = (configs.load(f"configs/tecafn_{corpus}.py")[0][k] for k in ("optim", "text"))
        assert (optim.weight_decay, optim.coupled) == (1e-4, True)
        assert (optim.schedule, optim.plateau.factor, optim.plateau.patience) == ("plateau", 0.5, 20)
        assert (text.max_length, text.max_content) == (80, 78)
