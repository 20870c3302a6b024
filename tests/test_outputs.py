"""Outputs that a model has beside its score, clip by clip: `Run.outputs`."""

import csv
import shutil

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

import msa_jax
from msa_jax import evaluate
from msa_jax.data import readers
from msa_jax.errors import UserError
from tests.conftest import make_words_folder, reseal


class Axes(nn.Module):
    """Outputs whose clips lie on the first axis, on the second, on two, on none."""

    @nn.compact
    def __call__(self, batch, *, train):
        x_B = batch["value"] * self.param("scale", nn.initializers.ones, (), jnp.float32)
        return {
            "prediction": x_B,
            "layers": jnp.stack([x_B, 2 * x_B, 3 * x_B])[..., None],
            "value": -x_B,  # of the name of an array of the batch
            "pairs": x_B[:, None] - x_B[None, :],
            "mean": x_B.mean(),
        }


def batches():
    """Five clips in two batches, out of order, the last row of the second padding."""
    for index in ([3, 0, 4], [2, 1, -1]):
        index = np.array(index)
        value = np.where(index < 0, 99, 10.0 * index).astype(np.float32)
        yield {"value": value, "mask": index >= 0, "index": index}


VARIABLES = {"params": {"scale": jnp.float32(1.0)}}


def test_each_clip_gets_its_own_whichever_axis_counts_them():
    found = evaluate.outputs(Axes(), VARIABLES, batches(), 5, ("prediction", "layers", "index"))
    np.testing.assert_array_equal(found["prediction"], [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(found["index"], [0, 1, 2, 3, 4])
    for clip, value in enumerate(found["layers"]):
        np.testing.assert_array_equal(value, 10 * clip * np.array([[1], [2], [3]]))


def test_without_names_all_that_belong_to_single_clips_are_there():
    assert set(evaluate.outputs(Axes(), VARIABLES, batches(), 5)) == {"prediction", "layers", "value"}


def test_an_output_goes_before_an_array_of_the_batch_of_its_name():
    for names in (None, ("value",)):
        found = evaluate.outputs(Axes(), VARIABLES, batches(), 5, names)
        np.testing.assert_array_equal(found["value"], [0, -10, -20, -30, -40])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pairs", "'pairs' does not belong to single clips"),
        ("mean", "'mean' does not belong to single clips"),
        ("gate", "'gate' is not there; there are: .*layers, prediction"),
    ],
)
def test_what_is_not_of_single_clips_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        evaluate.outputs(Axes(), VARIABLES, batches(), 5, (name,))


def test_a_run_gives_the_splits_that_it_was_trained_with(trained, tmp_path):
    _, workdir, words = trained
    run = msa_jax.load(workdir)
    for name, file in (("train", "train"), ("valid", "dev"), ("test", "test")):
        assert set(run.split(name).ids) == {example.id for example in readers.read(words / f"{file}.pkl")}
    with (workdir / "predictions_test.csv").open(newline="") as f:
        written = [float(row["prediction"]) for row in csv.DictReader(f)]
    np.testing.assert_allclose(run.score(run.split("test")), written, atol=1e-6)
    with pytest.raises(UserError, match=r"no split 'dev'; there are train, valid, test"):
        run.split("dev")

    own = run.split("test").labels
    # The user may name other data.
    run.config.data.path = str(make_words_folder(tmp_path / "other", seed=1))
    assert not np.array_equal(run.split("test").labels, own)


def test_splits_of_data_that_have_changed_are_refused(trained, tmp_path):
    _, workdir, words = trained
    place = tmp_path / "moved"
    (workdir / "config.json").write_text(
        (workdir / "config.json").read_text().replace(str(words), str(place))
    )
    reseal(workdir)
    run = msa_jax.load(workdir)
    with pytest.raises(UserError, match=r"was trained on .*moved, which is not there"):
        run.split("test")
    shutil.copytree(words, place)
    assert len(run.split("test")) == 6
    make_words_folder(place, seed=1)
    with pytest.raises(UserError, match="what lies there now is something else"):
        run.split("test")


def test_a_run_gives_the_gate_of_every_clip_as_if_it_were_alone(trained):
    _, workdir, words = trained
    run = msa_jax.load(workdir)
    examples = list(readers.read(words / "test.pkl"))
    split = run.preparation.scan(run.preparation.check(examples))
    found = run.outputs(split, ["gate", "text_mask", "prediction"])
    assert run.outputs(split, []) == {}
    np.testing.assert_array_equal(run.outputs(split, "prediction")["prediction"], found["prediction"])
    np.testing.assert_allclose(found["prediction"], run.score(split), atol=1e-6)
    for clip in (0, 5):
        alone = run.preparation.scan(run.preparation.check(examples[clip : clip + 1]))
        (gate_TD,), (mask_T,) = run.outputs(alone, ["gate", "text_mask"]).values()
        steps = split.lengths[clip, 0]
        assert found["text_mask"][clip].sum() == mask_T.sum() == steps
        np.testing.assert_allclose(found["gate"][clip][:steps], gate_TD[:steps], atol=1e-5)
