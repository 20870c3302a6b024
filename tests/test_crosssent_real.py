"""CrossSent's experiment on real files: its settings, what it shows, what it computes beyond training."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from msa_jax import cli, metrics
from msa_jax.results import write_predictions

FOLDER = Path(__file__).parents[1] / "experiments"


@pytest.fixture
def real(monkeypatch):
    """The module experiments/crosssent_real.py."""
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location("crosssent_real", FOLDER / "crosssent_real.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("table", None)


@pytest.mark.parametrize("what", ["mosi", "words", "utterance"])
def test_every_run_is_one_that_the_command_line_takes(real, what, tmp_path):
    variants = real.OBJECTIVES if what == "mosi" else real.MODALITIES
    for variant in variants.values():
        values = real.settings(what, tmp_path, 7, fold=3)
        argv = [f"--config={real.CONFIG}{variant}", *(f"--config.{k}={v}" for k, v in values.items())]
        config = cli.parse(argv).config
        assert config.data.path == str(tmp_path / real.FILES[what])
        assert config.seed == 7
        assert config.data.other_counts is (what != "mosi")
        assert config.data.cut.fold == (3 if what == "words" else 0)
        assert config.text.encoder.startswith("pkg:")
    assert config.data.modalities == (("text", "audio", "vision") if what == "mosi" else ("text",))


def test_the_tables_show_the_metrics_that_ranking_is_for(real):
    known = metrics.keys("mosi")
    assert set(real.ORDINAL) <= set(real.KEYS) <= set(known)
    assert set(real.ORDINAL) == {k for k in known if "qwk" in k or "jump" in k}


def test_the_pooled_metrics_are_those_of_all_folds_as_one_split(real, tmp_path):
    rng = np.random.default_rng(0)
    labels, scores, folders = [], [], []
    for fold, clips in enumerate((30, 1, 12)):
        y = np.round(rng.uniform(-3, 3, clips), 1)
        p = np.round(y + rng.normal(0, 1, clips), 3)
        folders.append(tmp_path / f"fold{fold}")
        folders[-1].mkdir()
        ids = [f"video#{fold}[{k}]" for k in range(clips)]
        write_predictions(folders[-1] / "predictions_test.csv", ids, p, y)
        labels.append(y)
        scores.append(p)
    got = real.taken_together(folders)
    expected = metrics.evaluate("mosi", np.concatenate(scores), np.concatenate(labels))
    assert got == pytest.approx(expected)


@dataclasses.dataclass(frozen=True)
class Preparation:
    """A stand-in: a scanned split is the source with the modalities that are left."""

    modalities: tuple[str, ...] = ("text", "audio", "vision")

    def without(self, *modalities):
        return Preparation(tuple(m for m in self.modalities if m not in modalities))

    def scan(self, source):
        return dataclasses.replace(source, modalities=self.modalities)


@dataclasses.dataclass(frozen=True)
class Clips:
    labels: np.ndarray
    modalities: tuple[str, ...] = ()


@dataclasses.dataclass
class Run:
    """A stand-in whose error is a tenth for each modality that a split lacks."""

    preparation: Preparation

    def score(self, split):
        return split.labels + (3 - len(split.modalities)) / 10


def test_audio_and_vision_are_taken_from_a_copy_of_the_run(real):
    run, source = Run(Preparation()), Clips(np.array([1.0, -2.0]))
    full, without, labels = real.without_streams(run, source)
    np.testing.assert_allclose(full, [1.0, -2.0])
    np.testing.assert_allclose(without, [1.2, -1.8])
    np.testing.assert_array_equal(labels, source.labels)
    assert run.preparation == Preparation()  # the run itself still has them


def test_the_use_of_audio_and_vision_is_a_move_of_the_scores_and_two_errors(real):
    line = real.use(np.array([1.0, 2.0]), np.array([1.5, 1.0]), np.array([1.0, 1.0]))
    assert line == (
        "without audio and vision the scores move by 0.7500 on average; "
        "test MAE 0.5000 with them, 0.2500 without"
    )
