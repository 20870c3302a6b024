"""Pretrained encoders: their names, files and checkpoint variants."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.flax
import safetensors.numpy

from msa_jax.errors import UserError
from msa_jax.text import load_encoder
from msa_jax.text.pretrained import read_config, resolve
from msa_jax.text.weights import read_weights


def assert_same_params(got, want, **kwargs):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, **kwargs)


@pytest.fixture
def folder(small_model):
    return small_model("bert_gelu")[0]


def rewrite(folder, change):
    path = folder / "model.safetensors"
    tensors = change(safetensors.numpy.load_file(path))
    safetensors.numpy.save_file(tensors, path)


def test_parameters_fit_the_module(folder):
    encoder, variables = load_encoder(str(folder))
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), jnp.zeros((1, 2), jnp.int32))
    same = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, variables, shapes)
    assert all(jax.tree.leaves(same))


@pytest.mark.parametrize(
    "prefix", ["bert.", "roberta.", "model.", "module.", "module.bert.", "_orig_mod.module.xlm_roberta."]
)
def test_prefixes_old_names_and_heads(folder, prefix):
    want = load_encoder(str(folder))[1]

    def old(tensors):
        named = {
            f"{prefix}{k}".replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): v
            for k, v in tensors.items()
        }
        return {**named, "cls.predictions.bias": np.zeros(97), f"{prefix}pooler.dense.bias": np.zeros(36)}

    rewrite(folder, old)
    assert_same_params(load_encoder(str(folder))[1], want, rtol=0)


def test_a_second_embedding_without_layers_does_not_confuse(folder):
    want = load_encoder(str(folder))[1]
    other = "generator.embeddings.word_embeddings.weight"
    rewrite(folder, lambda t: {**{f"bert.{k}": v for k, v in t.items()}, other: np.zeros((97, 36))})
    assert_same_params(load_encoder(str(folder))[1], want, rtol=0)


def test_two_encoders_in_one_file_are_named(folder):
    rewrite(folder, lambda t: {f"{p}.{k}": v for k, v in t.items() for p in ("student", "teacher")})
    with pytest.raises(UserError, match=r"hold 2 encoders, named 'student\.', 'teacher\.'; save the wanted"):
        load_encoder(str(folder))


def test_weights_of_something_else_are_named(folder):
    rewrite(folder, lambda t: {"transformer.wte.weight": np.zeros((97, 36)), "head": np.zeros(3)})
    with pytest.raises(UserError, match=r"no tensor 'embeddings\.word_embeddings\.weight'.*'head', 'trans"):
        load_encoder(str(folder))


def test_sharded_checkpoint(folder):
    want = load_encoder(str(folder))[1]
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {"a.safetensors": sorted(tensors)[::2], "b.safetensors": sorted(tensors)[1::2]}
    for file, names in parts.items():
        safetensors.numpy.save_file({name: tensors[name] for name in names}, folder / file)
    weight_map = {name: file for file, names in parts.items() for name in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert_same_params(load_encoder(str(folder))[1], want)
    (folder / "b.safetensors").unlink()
    with pytest.raises(UserError, match=r"b\.safetensors is missing"):
        load_encoder(str(folder))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_checkpoint_becomes_float32(folder, dtype):
    want = load_encoder(str(folder))[1]
    path = folder / "model.safetensors"
    tensors = {k: v.astype(dtype) for k, v in safetensors.flax.load_file(path).items()}
    safetensors.flax.save_file(tensors, path)
    got = load_encoder(str(folder))[1]
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {np.dtype("float32")}
    assert_same_params(got, want, rtol=1e-2, atol=1e-6)


def test_missing_tensor_is_named(folder):
    rewrite(folder, lambda t: {k: v for k, v in t.items() if k != "encoder.layer.2.output.dense.bias"})
    with pytest.raises(UserError, match=r"no tensor 'encoder\.layer\.2\.output\.dense\.bias'"):
        load_encoder(str(folder))


def test_wrong_shape_is_named(folder):
    rewrite(folder, lambda t: {**t, "embeddings.word_embeddings.weight": np.zeros((5, 36), np.float32)})
    with pytest.raises(UserError, match=r"word_embeddings.*\(5, 36\).*\(97, 36\)"):
        read_weights(folder, read_config(folder))


def test_broken_file_is_named(folder):
    (folder / "model.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"cannot read .*model\.safetensors"):
        load_encoder(str(folder))


@pytest.mark.parametrize("file", ["pytorch_model.bin", None])
def test_folder_without_safetensors_says_to_convert(folder, file):
    (folder / "model.safetensors").unlink()
    if file:
        (folder / file).write_bytes(b"")
    with pytest.raises(UserError, match="convert"):
        load_encoder(str(folder))


def _config(folder, **values):
    path = folder / "config.json"
    now = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({k: v for k, v in now.items() if v is not None}))


@pytest.mark.parametrize(
    "family", ["t5", "deberta-v2", "electra", "distilbert", "albert", "mpnet", "gpt2", "xlm-roberta-xl"]
)
def test_other_families_are_told_what_is_supported(folder, family):
    _config(folder, model_type=family)
    said = (
        f"{folder}: model_type {family!r} in the encoder's config.json: supported are bert, roberta, "
        "xlm-roberta, camembert; name an encoder of these, or store the features that this one gives and "
        "take --config.text.encoder=features"
    )
    with pytest.raises(UserError) as error:
        load_encoder(str(folder))
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("named", "classes", "family", "pad"),
    [
        ("bert", ["BertForMaskedLM"], "bert", 0),
        ("bert", ["MyClassifier"], "bert", 0),
        (None, ["BertForMaskedLM"], "bert", 0),
        (None, ["TFBertModel"], "bert", 0),
        (None, ["RobertaForSequenceClassification"], "roberta", 1),
        ("xlm-roberta", ["XLMRobertaModel"], "roberta", 1),
        ("roberta", ["XLMRobertaForMaskedLM"], "roberta", 1),
        ("camembert", None, "roberta", 1),
    ],
)
def test_the_family_is_what_the_file_says_whatever_the_folder_is_called(folder, named, classes, family, pad):
    folder = folder.rename(folder.parent / "chinese-roberta-wwm-ext")
    _config(folder, model_type=named, architectures=classes, pad_token_id=None)
    config = read_config(folder)
    assert (config.family, config.pad_id) == (family, pad)
    assert config.max_tokens == config.max_positions - (2 if family == "roberta" else 0)


@pytest.mark.parametrize(
    ("named", "classes", "message"),
    [
        (
            None,
            None,
            r"has no model_type, and no architectures: write .* \(a Chinese RoBERTa-wwm is a bert\)$",
        ),
        (None, ["GPT2Model"], r"has no model_type, and architectures GPT2Model: write"),
        ("roberta", ["BertForMaskedLM"], r"model_type 'roberta' but architectures BertForMaskedLM: .*write"),
    ],
)
def test_a_family_that_is_not_certain_is_refused(folder, named, classes, message):
    _config(folder, model_type=named, architectures=classes)
    with pytest.raises(UserError, match=message):
        load_encoder(str(folder))


@pytest.mark.parametrize("content", [None, "[1]", "{"])
def test_missing_or_broken_config(folder, content):
    (folder / "config.json").unlink()
    if content:
        (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json"):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pkg:no_such_package/model", "no package 'no_such_package'"),
        ("pkg:msa_jax/no_such_folder", "has no folder 'no_such_folder'"),
        ("pkg:os.path/x", "no package 'os.path'"),
        ("./no/such/folder", "it is not a folder, and not a Hugging Face id"),
        (__file__, "is a file"),
    ],
)
def test_names_that_lead_nowhere(name, message):
    with pytest.raises(UserError, match=message):
        resolve(name)


def test_package_folder_is_found_without_importing_the_package(tmp_path, monkeypatch):
    package = tmp_path / "encoder_package_for_test"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve("pkg:encoder_package_for_test/model") == package / "model"


def test_hub_failure_is_one_line_that_lists_the_routes(tmp_path):
    code = """
import sys
from msa_jax.errors import UserError
from msa_jax.text import load_encoder
try:
    load_encoder("someone/some-model")
except UserError as e:
    sys.stdout.write(str(e))
"""
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "\n" not in done.stdout
    for part in ("no folder", "cache", "hub", "HF_TOKEN", "model.safetensors", "pkg:"):
        assert part in done.stdout


def test_hub_cache_is_used_without_the_network(folder, tmp_path, monkeypatch):
    from huggingface_hub import constants

    commit = "0" * 40
    root = tmp_path / "hub" / "models--someone--some-model"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    (root / "snapshots").mkdir()
    (root / "snapshots" / commit).symlink_to(folder)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    encoder, _ = load_encoder("someone/some-model")
    assert encoder.config.hidden_size == 36
