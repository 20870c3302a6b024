"""Letters: what counts as Chinese."""

import pytest

from msa_jax.data.conventions import letters


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("这部电影很好", True),
        ("演員的表演太差了！", True),
        ("我喜欢 iPhone", True),
        ("好看，10/10", True),
        ("The film 我", False),
        ("the 我 film", False),
        ("映画館東京駅前です", False),  # kana
        ("영화 中國", False),
        ("это 我", False),
        ("the film", False),
        ("été", False),
        ("，。", False),
        ("", False),
    ],
)
def test_a_text_is_chinese_by_its_characters_and_words(text, chinese):
    assert letters.is_chinese(text) is chinese


def test_counts_of_several_texts():
    found = letters.chinese(["这部 good!", "，чай 齉"])
    assert found == letters.Chinese(ideographs=3, common=2, others=3, signs=1)
    assert (found.reads, found.certain, str(found)) == (True, False, "2 of 3 Chinese characters are common")
    assert letters.chinese(["这部电影很好"]).certain
    assert not letters.chinese(["齉" * 4 + "好"]).reads
    assert not letters.chinese([]).reads


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("é", 1),
        ("à", 1),
        ("ça", 1),
        ("créée", 2),
        ("éééa", 0),
        ("aééé", 0),
        ("éé", 0),
        ("aÉ", 0),
        ("“a”", 2),
        ("a”b", 0),
        ("¿a", 1),
        ("20°", 1),
    ],
)
def test_characters_that_stand_where_european_text_has_them(text, fitting):
    assert letters.accented(text) == (sum(not c.isascii() for c in text), fitting)


class _Counted(str):
    """A text that counts the characters that are taken from it."""

    taken = 0

    def __getitem__(self, which):
        found = super().__getitem__(which)
        self.taken += 1 + len(found)
        return found


@pytest.mark.parametrize("text", ["le film était très réussi déjà vu ", "é"])
def test_the_work_for_a_text_grows_with_its_length_alone(text):
    long = _Counted(text * (20_000 // len(text)))
    letters.accented(long)
    assert 0 < long.taken < 40 * len(long)
