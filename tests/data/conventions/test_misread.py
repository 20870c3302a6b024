"""Texts that were decoded as GBK or Big5, and are not, are refused or named; rare Chinese is not."""

import re

import numpy as np
import pytest

from msa_jax.data.conventions import texts
from msa_jax.errors import UserError

RUNNING = [
    "这部电影真的很好看",
    "演员太差了，剧情也很无聊",
    "我觉得音乐不错，你们一定要去看",
    "她说这是一个好故事",
    "不好看很差。",
    "剧情不错",
    "电影很精彩很感人",
    "最后他们回到了家里",
    "这个人的事情没有意思",
    "导演想说什么我不知道",
]
TRADITIONAL = ["這部電影真的很好看", "演員太差了，劇情也很無聊", "爾曹身與名俱滅，不廢江河萬古流"]


@pytest.mark.parametrize("errors", ["replace", "ignore", "strict"])
@pytest.mark.parametrize(
    ("codec", "wrong", "named"),
    [("utf-8", "gbk", "UTF-8 that was read as GBK"), ("gbk", "big5", "GB18030 that was read as Big5")],
)
def test_chinese_that_was_read_as_chinese_is_refused_with_the_mend(codec, wrong, named, errors):
    bad = {}
    for text in RUNNING:
        try:
            bad[text.encode(codec).decode(wrong, errors)] = text
        except UnicodeDecodeError:  # an odd number of bytes, of which most programs lose the last one
            assert errors == "strict"
    assert bad
    plain = {"a": [*bad, "plain"]}
    with pytest.raises(UserError, match=f"Chinese in {named}") as error:
        texts.decoded(plain, None, "a.pkl")
    if errors == "strict":
        said = re.search(r"write (text\.encode\(.*\)\.decode\(.*\)) in their place, or say", str(error.value))
        assert [eval(said[1], {"text": text}) for text in bad] == list(bad.values())
    kept = texts.decoded(plain, "utf-8", "a.pkl")
    assert kept.content == plain
    assert f"look like {named}" in kept.notes[0]


def test_quotes_that_were_read_as_chinese_are_named():
    found = texts.decoded(["it鈥檚 good", "caf茅", "plain"], None, "a.pkl")
    assert found.content == ["it鈥檚 good", "caf茅", "plain"]
    (note,) = found.notes
    assert "2 of 3 different texts look like UTF-8 that was read as GBK ('茅' is 'é')" in note


def test_rare_chinese_is_not_called_noise():
    """Names, classics and any pair of characters: no bytes of theirs are common Chinese elsewhere."""
    every = [
        "饕餮",
        "魑魅魍魉",
        "耄耋",
        "氤氲",
        "窈窕淑女",
        "参差荇菜",
        "芣苢",
        "黽勉",
        "赑屃",
        "茅台",
        "茅盾",
        "爨宝子碑",
        "こんにちは世界",
        "大韓民國",
        "囧",
        "槑",
    ]
    rare = [bytes([a, b]).decode("gb2312") for a in range(0xD8, 0xF8) for b in range(0xA1, 0xFF)]
    rng = np.random.default_rng(0)
    every += ["".join(rng.choice(rare, size)) for size in (2, 3, 4, 6, 9) for _ in range(400)]
    every += ["".join(map(chr, rng.integers(0x4E00, 0x9FA6, 6))) for _ in range(400)]
    for some in (every, RUNNING, TRADITIONAL, [*every, *RUNNING]):
        assert texts.decoded(some, None, "a.pkl").notes == ()
