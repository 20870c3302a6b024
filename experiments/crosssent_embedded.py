"""CrossSent on the embedded corpus: what GMRA is worth, and what its gate does on silent and occluded tokens.

    python experiments/crosssent_embedded.py [--seeds 0 1 2] [--runs DIR]

Prints, beside the error of the best possible predictor, the full model, the one without GMRA and the one
without key position embeddings; then, for each adapter, a paired comparison within clips of the size of what
is injected (the norm of g * H_cross) on tokens whose audio or vision row is dead and on tokens whose rows are
both live. SYNTHETIC DATA: no score here says anything about a real corpus.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats
from table import run_script, show, show_pairs, train

from msa_jax.data import synthetic
from msa_jax.data.pipeline import Split
from msa_jax.data.synthetic import floor
from msa_jax.run import Run, load

KEYS = ("mae", "corr", "acc7", "acc2_non0")
VARIANTS = {"full": "", "w/o GMRA": ":no_gmra", "w/o key embeddings": ":no_key_embeddings"}


def injected_sizes(run: Run, split: Split) -> list[np.ndarray]:
    """The norm of g * H_cross at each content token.

    Args:
      run: a trained run with the adapter.
      split: the clips, scanned by that run.

    Returns:
      One [n] array per clip, in the order of the split: its content tokens from first to last.
    """
    injected = run.outputs(split, ["injected"])["injected"]
    sizes = [np.linalg.norm(x_TD, axis=-1) for x_TD in injected]
    return [size[1 : length - 1] for size, length in zip(sizes, split.lengths[:, 0], strict=True)]


def paired(
    sizes: Sequence[np.ndarray],
    words: Sequence[np.ndarray],
    dead: Sequence[np.ndarray],
    live: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Mean size on dead and on live tokens of each clip that has both.

    Args:
      sizes: per clip, [n] one value per content token.
      words: per clip, [n] the word of each content token.
      dead, live: per clip, [words] bool.

    Returns:
      (on dead tokens, on live tokens), one value per clip that has both kinds.
    """
    pairs = []
    for size, word, is_dead, is_live in zip(sizes, words, dead, live, strict=True):
        low, high = is_dead[word], is_live[word]
        if low.any() and high.any():
            pairs.append((size[low].mean(), size[high].mean()))
    return tuple(np.array(pairs).reshape(-1, 2).T)


def gate_report(name: str, workdirs: Sequence[Path]) -> None:
    """Prints the paired comparison for the runs of one variant, over the clips of the test split."""
    examples, facts = synthetic.generate(synthetic.SyntheticConfig())
    test = [(e, f) for e, f in zip(examples, facts, strict=True) if e.split == "test"]
    live = [~f.silent & ~f.occluded for _, f in test]
    kinds = {
        "audio silent or face occluded": [f.silent | f.occluded for _, f in test],
        "audio silent": [f.silent & ~f.occluded for _, f in test],
        "face occluded": [f.occluded & ~f.silent for _, f in test],
        "both": [f.silent & f.occluded for _, f in test],
    }
    for workdir in workdirs:
        run = load(workdir)
        split = run.preparation.scan(run.preparation.check([e for e, _ in test]))
        sizes = injected_sizes(run, split)
        words = [w[1 : len(s) + 1] for w, s in zip(split.words, sizes, strict=True)]
        for kind, dead in kinds.items():
            low, high = paired(sizes, words, dead, live)
            p = stats.wilcoxon(low, high).pvalue
            print(
                f"{name:20s} {workdir.name:32s} {kind:30s} {len(low):4d} clips  dead {low.mean():.4f}  "
                f"live {high.mean():.4f}  ratio {low.mean() / high.mean():.3f}  "
                f"smaller in {100 * (low < high).mean():3.0f} %  Wilcoxon p {p:.1e}"
            )


def main() -> None:
    """Trains what is not trained yet, then prints both parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/crosssent_embedded"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    rows: dict[str, list] = {name: [] for name in VARIANTS}
    folders: dict[str, list] = {name: [] for name in VARIANTS}
    for seed in args.seeds:
        for name, variant in VARIANTS.items():
            folder = args.runs / f"synthetic{variant.replace(':', '-')}-seed{seed}"
            config = f"configs/crosssent_mosi.py:synthetic{variant}"
            folder, results = train(folder, config, {"seed": seed})
            rows[name].append(results["test"])
            folders[name].append(folder)
    show(f"Embedded corpus (SYNTHETIC), test split, {len(args.seeds)} seeds", rows, KEYS)
    show_pairs("full", "w/o GMRA", rows, ("mae",))
    show_pairs("full", "w/o key embeddings", rows, ("mae",))
    print("\nBest possible predictor on the same corpus:")
    for told, scores in floor.floor(synthetic.SyntheticConfig()).items():
        print(f"  {told:22s} MAE {scores['mae']:.3f}  Corr {scores['corr']:.3f}")
    print("\nSize of what is injected, |g * H_cross|, within clips of the test split:")
    for name in ("full", "w/o key embeddings"):
        gate_report(name, folders[name])


if __name__ == "__main__":
    run_script(main)
