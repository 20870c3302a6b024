"""Scales of labels: the linear map between two corpora's ranges, and where it is needed."""

import numpy as np
import pytest

from msa_jax.corpora import CORPORA, Corpus
from msa_jax.errors import UserError
from msa_jax.scales import Signs, rescaling, suspected


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


STEPS = np.resize(np.arange(-5, 6) / 5, 100).astype(np.float32)
MILD = np.resize([-1, -2 / 3, -0.4, 0, 1 / 3, 0.5, 0.8], 120)


def signs(*, counts=(10, 5, 5), by_modality=None, chinese=0):
    return Signs(dict(zip(("train", "valid", "test"), counts, strict=True)), by_modality, chinese)


@pytest.mark.parametrize(
    ("labels", "of", "reason"),
    [
        ([0.4], signs(by_modality=(-1, 0.6)), "so do its labels by modality"),
        (MILD, signs(counts=(1368, 456, 457)), "its splits have the official sizes"),
        (MILD[:20], signs(chinese=15), "15 texts are Chinese"),
        (STEPS, signs(), "they are all multiples of 0.2"),
    ],
)
def test_labels_with_signs_of_a_narrower_scale_are_refused_unless_the_user_says_so(labels, of, reason):
    labels = np.array(labels, np.float32)
    with pytest.raises(UserError) as error:
        suspected(labels, "mosi", of, said=False, where="a.pkl")
    message = str(error.value)
    assert message.startswith("a.pkl: all labels lie in [-1, 1], as CH-SIMS's do, and ")
    assert reason in message
    assert "--config.data.corpus=sims --config.data.rescale=True" in message
    assert "--config.data.corpus=mosi where they are on that scale" in message
    assert "taken as CMU-MOSI's" in suspected(labels, "mosi", of, said=True, where="a.pkl")
    assert suspected(labels, "sims", of, said=False, where="a.pkl") == ""
    labels[0] = 1.2
    assert suspected(labels, "mosi", of, said=False, where="a.pkl") == ""


@pytest.mark.parametrize(
    ("labels", "of"),
    [
        (MILD, signs()),
        (STEPS[:99], signs()),
        (np.resize([-1.0, 0.0, 1.0], 200), signs()),  # three classes
        (MILD[:19], signs(chinese=20)),
        (MILD, signs(chinese=10)),
        ([0.4], signs(by_modality=(-2.0, 1.0))),  # which lie on the wide scale
    ],
)
def test_mild_labels_alone_are_named_and_evaluated(labels, of):
    line = suspected(np.array(labels, np.float32), "mosi", of, said=False, where="a.pkl")
    assert line.endswith("are taken as CMU-MOSI's; if they are not, say --config.data.corpus=sims")


def test_every_narrower_scale_is_looked_at(monkeypatch):
    labels = np.array(STEPS, np.float32)
    narrow = {
        "plain": Corpus("Plain", -2.0, 2.0, None),
        **CORPORA,
        "shifted": Corpus("Shifted", -4.0, 1.0, None),
    }
    monkeypatch.setattr("msa_jax.scales.CORPORA", narrow)
    with pytest.raises(UserError, match=r"as CH-SIMS's do, and they are all multiples of 0\.2"):
        suspected(labels, "mosi", signs(), said=False, where="a.pkl")
    assert "as Plain's do" in suspected(labels[:50], "mosi", signs(), said=False, where="a.pkl")
    wide = Corpus("Wide", -10.0, 10.0, None)  # no other corpus has its range
    monkeypatch.setitem(narrow, "wide", wide)
    with pytest.raises(UserError, match=r"data\.corpus=wide where they are on that scale"):
        suspected(labels, "wide", signs(), said=False, where="a.pkl")
    assert "as Plain's do" in suspected(labels, "wide", signs(), said=True, where="a.pkl")


def test_classes_have_no_narrower_scale():
    assert suspected(np.array([0, 1]), "ur_funny", signs(by_modality=(0, 1)), said=False, where="a") == ""
