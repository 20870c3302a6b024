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
    assert found == letters.Chinese(ideographs=3, common=2, others=3)
    assert (found.reads, found.certain, str(found)) == (True, False, "2 of 3 Chinese characters are common")
    assert letters.chinese(["这部电影很好"]).certain
    assert not letters.chinese(["齉" * 4 + "好"]).reads
    assert not letters.chinese([]).reads
