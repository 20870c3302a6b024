"""The sixty clips in every convention: equal to the bit, or refused, and none read differently."""

from collections import Counter

from tests.data.conventions.matrix import cases, outcome

# (read equal, refused), by format: a change of what is read is to be seen.
COUNTS = {
    "CMU-MultimodalSDK .csd": (60, 21),
    "MMSA pickle": (259, 53),
    "words pickle": (111, 26),
    "MulT pickle": (92, 13),
    "HDF5 per array": (36, 2),
    "CSV of texts and labels": (42, 3),
    "utterance .npz": (56, 4),
}


def test_every_combination_is_read_equal_or_refused(tmp_path):
    found = {name: Counter() for name in COUNTS}
    wrong = []
    for number, case in enumerate(cases()):
        folder = tmp_path / str(number)
        folder.mkdir()
        result = outcome(case, folder)
        found[case.format][result] += 1
        if result not in ("equal", "refused"):
            wrong.append(f"{case.format}, {case.options}: {result}")
    assert wrong == []
    assert {name: (count["equal"], count["refused"]) for name, count in found.items()} == COUNTS
