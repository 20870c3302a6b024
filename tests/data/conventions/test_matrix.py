"""The sixty clips in every convention: equal to the bit, or refused, and none read differently."""

from collections import Counter

from tests.data.conventions.matrix import cases, outcome


def test_every_combination_is_read_equal_or_refused(tmp_path):
    found: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    wrong = []
    for number, case in enumerate(cases()):
        folder = tmp_path / str(number)
        folder.mkdir()
        result = outcome(case, folder)
        found[result] += 1
        formats[case.format] += result == "equal"
        if result not in ("equal", "refused"):
            wrong.append(f"{case.format}, {case.options}: {result}")
    assert wrong == []
    assert found == {"equal": 598, "refused": 116}  # a change of what is read is to be seen
    assert len(formats) == 7
    assert min(formats.values()) >= 20
