"""Command that prints how far each model is from its reference, or writes the golden files."""

import argparse

from tests.parity import compare


def main() -> None:
    """Prints a Markdown table, or writes the golden files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=compare.names(), help="models; all")
    parser.add_argument("--golden", action="store_true", help="write the small files of the ordinary tests")
    args = parser.parse_args()
    if args.golden:
        for name in args.names:
            path = compare.write_golden(name)
            print(f"{path.name}: {path.stat().st_size} bytes")
        return
    print("| model | outputs | gradients (largest, by loss) | parameters left out |")
    print("|---|---|---|---|")
    for name in args.names:
        found = compare.compare(compare.case_of(name))
        gradients = ", ".join(f"{k} {d.value:.1e} of {d.largest:.1e}" for k, d in found.gradients.items())
        left = ", ".join(f"`{name}`" for name in (*found.unused, *found.left)) or "none"
        print(f"| `{name}` | {found.outputs.value:.1e} | {gradients} | {left} |", flush=True)


if __name__ == "__main__":
    main()
