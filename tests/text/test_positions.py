"""Positions of the steps of a text encoder: what they are counted from, with a text and without one."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from msa_jax.models.crosssent import GMRA, CrossSent
from msa_jax.text import Encoder, EncoderConfig

PAD = 1
ROBERTA = EncoderConfig(
    family="roberta", vocab_size=40, hidden_size=16, num_layers=2, num_heads=2, intermediate_size=24,
    max_positions=14, type_vocab_size=1, layer_norm_eps=1e-5, pad_id=PAD, initializer_range=0.5,
)  # fmt: skip
BERT = dataclasses.replace(ROBERTA, family="bert")
B, T = 3, 9
TEXT_MASK = np.arange(T) < np.array([T, 6, 2])[:, None]
IDS = np.where(TEXT_MASK, np.random.default_rng(0).integers(2, 40, (B, T)), PAD).astype(np.int32)
# As audio and vision have them: none on the special tokens at both ends, and some words without rows.
ROWS_MASK = TEXT_MASK & (np.arange(T) > 0) & ~np.isin(np.arange(T), [4, 5])


@functools.cache
def variables():
    """Parameters of the encoder, of either family."""
    return jax.jit(Encoder(ROBERTA).init)(jax.random.key(0), IDS)


@functools.partial(jax.jit, static_argnums=0)
def apply(config, variables, ids, mask):
    return Encoder(config).apply(variables, ids, mask).hidden_states[0]


def embedded(config, ids, mask):
    """(the encoder's embeddings, their parameters in float64)."""
    params = jax.tree.map(lambda p: np.asarray(p, np.float64), variables()["params"]["embeddings"])
    return apply(config, variables(), ids, mask), params


def embedded_numpy(params, ids, positions):
    x = params["word"][ids] + params["position"][positions] + params["token_type"][0]
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + ROBERTA.layer_norm_eps)


def counted(mask):
    """RoBERTa's position ids: valid steps are pad_id + 1, pad_id + 2, ...; the others pad_id."""
    return np.array(
        [[PAD + row[: t + 1].sum() * row[t] for t in range(len(row))] for row in mask.astype(int)]
    )


def test_the_positions_of_an_ordinary_text_are_those_of_its_tokens():
    got, params = embedded(ROBERTA, IDS, TEXT_MASK)
    by_ids = counted(IDS != PAD)  # as RoBERTa's own code has it
    np.testing.assert_array_equal(by_ids[1], [2, 3, 4, 5, 6, 7, 1, 1, 1])
    np.testing.assert_allclose(got, embedded_numpy(params, IDS, by_ids), atol=1e-5)


def test_without_text_the_steps_that_have_rows_have_positions():
    ids = np.full_like(IDS, PAD)
    got, params = embedded(ROBERTA, ids, ROWS_MASK)
    positions = counted(ROWS_MASK)
    np.testing.assert_array_equal(positions[0], [1, 2, 3, 4, 1, 1, 5, 6, 7])
    np.testing.assert_allclose(got, embedded_numpy(params, ids, positions), atol=1e-5)
    steps = np.asarray(got)[0, ROWS_MASK[0]]
    apart = np.linalg.norm(steps[:, None] - steps[None], axis=-1) + 9 * np.eye(len(steps))
    assert apart.min() > 0.1  # the tokens are all the same: only positions tell the steps apart


def test_a_token_that_is_padding_by_name_alone_has_a_position():
    ids = IDS.copy()
    ids[0, 3] = PAD  # a text may hold the word <pad>
    got, params = embedded(ROBERTA, ids, TEXT_MASK)
    np.testing.assert_allclose(got, embedded_numpy(params, ids, counted(TEXT_MASK)), atol=1e-5)


def test_without_a_mask_every_step_is_valid():
    everything = np.ones((B, T), bool)
    for config in (ROBERTA, BERT):
        np.testing.assert_array_equal(embedded(config, IDS, None)[0], embedded(config, IDS, everything)[0])


def test_bert_counts_all_steps_whatever_the_mask():
    for mask in (TEXT_MASK, ROWS_MASK):
        got, params = embedded(BERT, IDS, mask)
        np.testing.assert_allclose(got, embedded_numpy(params, IDS, np.arange(T)), atol=1e-5)


def crosssent(config):
    return CrossSent(encoder=Encoder(config), gmra=GMRA(heads=2, bottleneck=4))


@functools.cache
def start(described):
    """The parameters of CrossSent before the first step."""
    batch = {k: np.zeros(shape, dtype) for k, shape, dtype in described}
    return jax.jit(lambda key: crosssent(ROBERTA).init(key, batch, train=False))(jax.random.key(0))


@pytest.mark.parametrize("config", [ROBERTA, BERT], ids=["roberta", "bert"])
def test_without_text_each_step_of_crosssent_looks_at_audio_and_vision_in_its_own_way(config):
    rng = np.random.default_rng(1)
    batch = {
        "text": np.full((B, T), PAD, np.int32),
        "text_mask": np.zeros((B, T), bool),
        "audio": rng.normal(size=(B, T, 5)).astype(np.float32),
        "vision": rng.normal(size=(B, T, 4)).astype(np.float32),
        "audio_mask": ROWS_MASK,
        "vision_mask": ROWS_MASK,
    }
    model = crosssent(config)
    # Both families have the same parameters at the start.
    params = start(tuple((k, v.shape, v.dtype) for k, v in batch.items()))
    looks = jax.jit(lambda p: model.apply(p, batch, train=False)["cross_attention"])(params)
    for clip, mask in zip(looks, ROWS_MASK, strict=True):
        steps = np.asarray(clip)[:, mask]  # [heads, steps, keys]
        for t in range(1, mask.sum()):
            assert np.abs(steps[:, t] - steps[:, 0]).max() > 1e-3
