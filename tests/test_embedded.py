"""Embedded corpus: the main job on it, against what is possible there."""

import json
import os
import subprocess
import sys

import numpy as np

from msa_jax.data import synthetic
from msa_jax.data.synthetic.oracle import posterior


def test_crosssent_beats_the_best_possible_predictor_of_the_text_alone(tmp_path):
    """Ten epochs of the shipped config: what GMRA brings in is not to be had from the words."""
    workdir = tmp_path / "run"
    command = [sys.executable, "-m", "msa_jax.main", "--config=configs/crosssent_mosi.py:synthetic"]
    command += ["--config.epochs=10", "--config.data.buckets=2", f"--config.data.cache={tmp_path / 'cache'}"]
    quick_code = {**os.environ, "XLA_FLAGS": ""}  # the other tests ask for code that is compiled quickly
    subprocess.run([*command, f"--workdir={workdir}"], check=True, env=quick_code, stdout=subprocess.DEVNULL)
    results = json.loads((workdir / "results.json").read_text())
    assert results["data"] == "synthetic"

    config = synthetic.SyntheticConfig()
    test = [e for e in synthetic.generate(config)[0] if e.split == "test"]
    best = posterior(config, test, use_audio=False, use_vision=False).median()
    floor = np.mean(np.abs(best - np.array([e.label for e in test])))
    assert 0.85 < floor < 1.05
    assert results["test"]["mae"] < floor
