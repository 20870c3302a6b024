"""A small words pickle and an empty cache."""

import pickle

import numpy as np
import pytest

from msa_jax.data.datasets import build


def words_clip(video, clip, seed, words=("so", "good", "ü")):
    rng = np.random.default_rng(seed)
    vision, audio = (rng.normal(size=(len(words), width)).astype(np.float32) for width in (4, 5))
    return (
        (np.arange(len(words)), vision, audio, list(words)),
        np.array([[rng.uniform(-3, 3)]]),
        f"{video}[{clip}]",
    )


def words_content(splits=("train", "dev", "test")):
    return {
        split: [words_clip(f"{split}{k // 2}", k, 10 * place + k) for k in range(4)]
        for place, split in enumerate(splits)
    }


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "words.pkl"
    path.write_bytes(pickle.dumps(words_content()))
    return path


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def content():
    """The content of `source`, to be changed and written again."""
    return words_content()


@pytest.fixture
def undivided():
    """Thirty clips of ten videos, without splits."""
    return [words_clip(f"v{k // 3}", k, k) for k in range(30)]


@pytest.fixture
def count_builds(monkeypatch):
    builds = []
    original = build.BUILDERS["mosi"].download_and_prepare
    monkeypatch.setattr(
        build.BUILDERS["mosi"],
        "download_and_prepare",
        lambda self, *args, **kwargs: (builds.append(1), original(self, *args, **kwargs))[1],
    )
    return builds
