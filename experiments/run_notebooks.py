"""Notebooks, run from top to bottom: each in a clean kernel and a folder of its own, two at a time.

    python experiments/run_notebooks.py [NAME ...] [--html FOLDER] [--at-once 2] [--seconds 600]

Without NAME it is all of experiments/notebooks, with the budget that their first cell sets. It prints how
long each took, and exits with 1 where a cell raised an error, something was printed on stderr (as warnings
are), or all together took longer than --seconds. --html has the pages that came out, with their pictures. It
needs `pip install ".[notebooks]"`.
"""

import argparse
import concurrent.futures
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

STOPPING = "msa_jax: SIGINT: stopping"  # a notebook that stops itself is told so
FOLDER = Path(__file__).with_name("notebooks")


def executed(name: str, html: Path | None, seconds: int) -> list[str]:
    """Runs a notebook.

    Args:
      name: of the notebook, without the ending.
      html: a folder for the page that came out; None: it is not kept.
      seconds: the most that one cell may take.

    Returns:
      What is wrong, a line each.
    """
    import nbclient
    import nbformat
    import traitlets

    notebook = nbformat.read(FOLDER / f"{name}.ipynb", nbformat.NO_CONVERT)
    started, wrong = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        # By files: the kernel warns of TCP, which others on the machine could listen to.
        sockets = {"transport": "ipc", "ip": str(Path(folder) / "kernel")}
        client = nbclient.NotebookClient(
            notebook,
            timeout=seconds,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            config=traitlets.config.Config({"KernelManager": sockets}),
        )
        try:
            client.execute()
        except (nbclient.exceptions.CellControlSignal, nbclient.exceptions.DeadKernelError) as e:
            wrong.append(f"{type(e).__name__}: {e}")
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and output.name == "stderr":
                lines = [line for line in output.text.splitlines() if not line.startswith(STOPPING)]
                wrong += [f"cell {number} printed on stderr: {line}" for line in lines]
    if html:
        _write(html / f"{name}.html", notebook)
    return [f"{name}: {what}" for what in wrong]


def _write(path: Path, notebook: object) -> None:
    import nbconvert

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbconvert.HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")


def main() -> None:
    """Runs the notebooks that the command line names."""
    there = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(there)}; default: all")
    parser.add_argument("--html", type=Path, metavar="FOLDER", help="for the pages that come out")
    parser.add_argument("--at-once", type=int, choices=(1, 2), default=2, help="how many run side by side")
    parser.add_argument("--seconds", type=int, default=600, help="the most that all together may take")
    args = parser.parse_args()
    if unknown := set(args.names) - set(there):
        parser.error(f"no notebook {', '.join(sorted(unknown))}; there are {', '.join(there)}")
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(args.at_once) as threads:
        run = partial(executed, html=args.html, seconds=args.seconds)
        wrong = [what for found in threads.map(run, args.names or there) for what in found]
    seconds = time.monotonic() - started
    print(f"together: {seconds:.0f} s")
    if seconds > args.seconds:
        wrong.append(f"together they took more than {args.seconds} s")
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
