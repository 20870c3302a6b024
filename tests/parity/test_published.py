"""Published settings: every number that MMSA sets for a model and a corpus is our config's, or is named."""

import re

import pytest

from msa_jax import config as configs
from tests.parity import compare

pytest.importorskip("MMSA", reason='MMSA is not installed (pip install ".[parity]")')

CORPORA = ("mosi", "mosei", "sims")
# What says how MMSA reads its files or runs, and what its models do not read.
OF_THE_PROGRAM = {
    *("model_name", "dataset_name", "language", "featurePath", "feature_dims", "seq_lens", "num_classes"),
    *("train_samples", "KeyEval", "missing_rate", "missing_seed", "custom_feature", "save_labels"),
    *("need_data_aligned", "need_model_aligned", "need_normalized", "need_normalize", "use_bert"),
    *("use_finetune", "use_bert_finetune", "transformers", "pretrained"),
    *("feature_T", "feature_A", "feature_V"),
}


def rate_of(path):
    """Of the parameters in a path, by the groups of our optimiser."""
    return lambda ours: ours["optim.learning_rate"] * _group(ours, path)[0]


def decay_of(path, times=1.0):
    """The same for the weight decay, times a number."""
    return lambda ours: times * _group(ours, path)[1]


def _group(ours, path):
    """(factor of the rate, weight decay) of the first group that is found in a path."""
    _, factor, *decay = next(group for group in ours["optim.groups"] if re.search(group[0], path))
    return factor, decay[0] if decay else ours["optim.weight_decay"]


def whole_clip(ours):
    """The limit of a number of the gradient's sum over the batches, of which ours is the mean."""
    return ours["optim.clip_value"] * ours["optim.accumulate"]


def layers_of(**names):
    """Their section of a network with one hidden layer, by the beginning of our fields."""
    rows = {}
    for ours, theirs in names.items():
        rows[f"model.{ours}_hidden"] = f"{theirs}.shapes"
        rows[f"model.{ours}_dropout"] = f"{theirs}.drop"
    return rows


def places(name, *fields):
    """Those of their list, in its order, by our fields."""
    return {f"model.{field}": f"{name}.{k}" for k, field in enumerate(fields)}


def named(ours, theirs, names):
    """Keys that differ in a name alone: ours to theirs, with {} in its place."""
    return {ours.format(own): theirs.format(*(other,) * theirs.count("{}")) for own, other in names.items()}


RATE = {"optim.learning_rate": "learning_rate"}
DECAY = {"optim.weight_decay": "weight_decay"}
HIDDEN = places("hidden_dims", "text_hidden", "audio_hidden", "vision_hidden")
WIDE = places("hidden_dims", "text_hidden", "audio_width", "vision_width")
DROPOUTS = places("dropouts", "audio_dropout", "vision_dropout", "text_dropout", "fusion_dropout")
MEMORY = {"model.memory": "memsize"}
SHORT = {"text": "l", "audio": "a", "vision": "v"}
HEADS = {"fusion": "fusion", "text": "text", "audio": "audio", "vision": "video"}
# Our key, or a function of all ours, to theirs, or to a function of all theirs.
TABLE = {
    "ef_lstm": [
        {"model.hidden": "hidden_dims", "model.layers": "num_layers", "model.dropout": "dropout"},
        RATE,
        DECAY,
    ],
    "lf_dnn": [
        WIDE,
        DROPOUTS,
        RATE,
        DECAY,
        {"model.text_width": "text_out", "model.fusion_width": "post_fusion_dim"},
    ],
    "tfn": [WIDE, DROPOUTS, RATE, {"model.text_width": "text_out", "model.hidden": "post_fusion_dim"}],
    "lmf": [
        WIDE,
        RATE,
        DECAY,
        {"model.rank": "rank", "model.text_width": lambda theirs: theirs["hidden_dims"][0] // 2},
        places("dropouts", "audio_dropout", "vision_dropout", "text_dropout"),
        {rate_of("text_factor"): "factor_lr"},
    ],
    "mfn": [
        HIDDEN,
        MEMORY,
        RATE,
        DECAY,
        layers_of(attention="NN1Config", proposal="NN2Config", retain="gamma1Config", update="gamma2Config"),
        layers_of(output="outConfig"),
    ],
    "graph_mfn": [
        HIDDEN,
        MEMORY,
        RATE,
        DECAY,
        {"model.vertex_width": "inner_node_dim"},
        layers_of(proposal="NNConfig", retain="gamma1Config", update="gamma2Config", output="outConfig"),
    ],
    "mfm": [
        HIDDEN,
        MEMORY,
        DECAY,
        layers_of(attention="NN1Config", proposal="NN2Config", retain="gamma1Config", update="gamma2Config"),
        named("model.{}_code", "z{}_size", SHORT),
        named("model.{}_factor", "f{}_size", SHORT),
        named("model.{}_factor_dropout", "z{}_to_f{}_dropout", SHORT),
        named("loss.{}_weight", "lda_x{}", SHORT),
        {"model.code": "zy_size", "model.factor": "fy_size", "model.factor_dropout": "zy_to_fy_dropout"},
        {"model.output_dropout": "fy_to_y_dropout", "loss.mmd_weight": "lda_mmd"},
        {"optim.learning_rate": lambda theirs: 1e-3},  # theirs is not handed to the optimiser
    ],
    "mult": [
        RATE,
        places("dst_feature_dim_nheads", "width", "heads"),
        named("model.{}_kernel", "conv1d_kernel_size_{}", SHORT),
        {"model.layers": "nlevels", "model.self_layers": lambda theirs: max(theirs["nlevels"], 3)},
        {"model.attention_dropout": "attn_dropout", "model.audio_attention_dropout": "attn_dropout_a"},
        {"model.vision_attention_dropout": "attn_dropout_v", "model.relu_dropout": "relu_dropout"},
        {"model.embed_dropout": "embed_dropout", "model.residual_dropout": "res_dropout"},
        {"model.text_dropout": "text_dropout", "model.output_dropout": "output_dropout"},
        {
            "model.future_mask": "attn_mask",
            "optim.accumulate": "update_epochs",
            "optim.plateau.patience": "patience",
        },
        {whole_clip: "grad_clip"},
    ],
    "misa": [
        RATE,
        {"model.width": "hidden_size", "model.dropout": "dropout", "optim.accumulate": "update_epochs"},
        {"model.reverse_weight": "reverse_grad_weight"},
        {
            "loss.diff_weight": "diff_weight",
            "loss.sim_weight": "sim_weight",
            "loss.recon_weight": "recon_weight",
        },
        {whole_clip: "grad_clip"},
        {lambda ours: ours["model.similarity"] == "moments": "use_cmd_sim"},
    ],
    "mag_bert": [RATE, DECAY, {"model.mag.beta": "beta_shift", "model.mag.dropout": "dropout_prob"}],
    "self_mm": [
        {
            rate_of("encoder/dense/kernel"): "learning_rate_bert",
            rate_of("head/kernel"): "learning_rate_other",
        },
        {rate_of("audio_subnet/x"): "learning_rate_audio", rate_of("vision_subnet/x"): "learning_rate_video"},
        # Beside the sum of four gradients, and so four times ours.
        {
            decay_of("encoder/dense/kernel", 4): "weight_decay_bert",
            decay_of("head/kernel", 4): "weight_decay_other",
        },
        {
            decay_of("audio_subnet/x", 4): "weight_decay_audio",
            decay_of("vision_subnet/x", 4): "weight_decay_video",
        },
        {"optim.accumulate": "update_epochs", "model.exclude_zero": "excludeZero", "model.bound": "H"},
        {"model.audio_hidden": "a_lstm_hidden_size", "model.vision_hidden": "v_lstm_hidden_size"},
        {"model.audio_width": "audio_out", "model.vision_width": "video_out"},
        {"model.audio_dropout": "a_lstm_dropout", "model.vision_dropout": "v_lstm_dropout"},
        named("model.{}_head", "post_{}_dim", HEADS),
        named("model.{}_head_dropout", "post_{}_dropout", HEADS),
    ],
    "mmim": [
        {"optim.learning_rate": "lr_main", rate_of("encoder/x"): "lr_bert", rate_of("mmilb_x"): "lr_mmilb"},
        {"optim.weight_decay": "weight_decay_main", decay_of("encoder/x"): "weight_decay_bert"},
        # As large beside the loss of the fit, which weighs a tenth, as theirs beside one that weighs 1.
        {decay_of("mmilb_x", 10): "weight_decay_mmilb", "loss.fit_weight": "beta"},
        {"loss.nce_weight": "alpha", "loss.lld_weight": "beta", "loss.entropy_weight": "beta"},
        {"optim.clip": "grad_clip", "model.memory_size": "mem_size", "model.dropout": "dropout_prj"},
        {"model.audio_hidden": "d_ah", "model.vision_hidden": "d_vh", "model.width": "d_prjh"},
        {
            "model.audio_width": "d_aout",
            "model.vision_width": "d_vout",
            "model.bidirectional": "bidirectional",
        },
        {lambda ours: "vision_audio" in ours["model.bounds"]: "add_va"},
    ],
}
# What MMSA sets and its program does not use (docs/baselines.md), or has one value, which our model has.
UNUSED = {
    "mfm": {"learning_rate", "outConfig", "windowsize"},
    "mfn": {"windowsize"},
    "mult": {"weight_decay"},
    "misa": {"weight_decay", "sp_weight", "rnncell"},
    "self_mm": {"text_out", "t_bert_dropout", "a_lstm_layers", "v_lstm_layers"},
    "mmim": {
        *("update_epochs", "contrast", "dropout_a", "dropout_v", "n_layer", "cpc_layers", "optim", "when"),
        *("mmilb_mid_activation", "mmilb_last_activation", "cpc_activation"),
    },
}
# 1278 in its file, where all other widths are of the kind of 128.
OTHERS = {("mfm", "mosei", "model.attention_hidden"): (1278, 128)}


def picked(theirs, path):
    """A value of theirs by names and places with dots between."""
    for part in path.split("."):
        theirs = theirs[int(part)] if isinstance(theirs, list | tuple) else theirs[part]
    return theirs


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("name", compare.names())
def test_every_number_of_the_toolkit_is_in_our_config(name, corpus):
    from MMSA.config import get_config_regression

    theirs = get_config_regression(compare.case_of(name).theirs, corpus)
    ours = configs.flatten(configs.load(f"configs/{name}_{corpus}.py")[0])
    rows = {"batch_size": "batch_size", "patience": "early_stop"}
    for part in TABLE[name]:
        rows |= part
    read = set()
    for key, path in rows.items():
        found = key(ours) if callable(key) else ours[key]
        if callable(path):
            wanted = path(theirs)
        else:
            wanted = picked(theirs, path)
            read.add(path.split(".")[0])
        if (name, corpus, key) in OTHERS:
            assert wanted == OTHERS[name, corpus, key][0]
            wanted = OTHERS[name, corpus, key][1]
        assert found == pytest.approx(wanted, rel=1e-12), (key, path)
    assert ours["optim.coupled"] or not ours["optim.weight_decay"]  # theirs is the L2 of PyTorch's Adam
    assert set(theirs) - OF_THE_PROGRAM - read == UNUSED.get(name, set())
