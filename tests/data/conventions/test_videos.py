"""Videos of clips, told from all ids of a file."""

import re

import pytest

from msa_jax.data.conventions import videos
from msa_jax.errors import UserError

FILMS = [(f"film_{v:02d}", k) for v in range(20) for k in range(5)]
YOUTUBE = ["-3g5yACwYnA", "0h-zjBukYpk", "_dI--eQ6qVU", "a-b_c-d_e12", "iiK8YX8oH1E", "abc_"]


def _named(names, pattern=None):
    return videos.name([(name,) for name in names], pattern, where="a.pkl")


@pytest.mark.parametrize(
    ("form", "video", "line"),
    [
        ("{v}-{k}", "{v}", 'what is before the last "-" (100 of 100 ids, 20 videos)'),
        ("{v}/{k:04d}", "{v}", 'what is before the last "/" (100 of 100 ids, 20 videos)'),
        ("clips/{v}/{k}.mp4", "{v}", 'what is before the last "/" (100 of 100 ids, 20 videos)'),
        ("data\\clips\\{v}\\{k}.WAV", "{v}", 'what is before the last "/" (100 of 100 ids, 20 videos)'),
        ("clips/{v}_{k}.mp4", "{v}", 'what is before the last "_" (100 of 100 ids, 20 videos)'),
        ("{v}[{k}].mp4", "{v}", "what is before the brackets (100 of 100 ids, 20 videos)"),
        ("{v} ({k})", "{v}", "what is before the brackets (100 of 100 ids, 20 videos)"),
        ("{v}_{k}.avi", "{v}", 'what is before the last "_" (100 of 100 ids, 20 videos)'),
        ("{v}_clip{k}", "{v}", 'what is before the last "_" (100 of 100 ids, 20 videos)'),
        ("{v}#{k}", "{v}", 'what is before the last "#" (100 of 100 ids, 20 videos)'),
        ("{v}_{k}.5", "{v}", 'what is before the last "_" (100 of 100 ids, 20 videos)'),
    ],
)
def test_spellings(form, video, line):
    names = [form.format(v=v, k=k) for v, k in FILMS]
    named = _named(names)
    assert named.names == [(name, video.format(v=v)) for name, (v, _) in zip(names, FILMS, strict=True)]
    assert (named.line, named.untold) == (line, 0)


def test_official_forms():
    marks = _named(["v_1[3]", "w$_$0001", "x$_$y$_$2"])
    assert marks.names == [("v_1_3", "v_1"), ("w_0001", "w"), ("x$_$y_2", "x$_$y")]
    assert (marks.line, marks.conventions) == ("", {})
    lists = videos.name([("vid", "0.5"), ("v[3]", "1")], where="a.pkl")
    assert lists.names == [("vid_0.5", "vid"), ("v_3", "v")]
    iemocap = _named(["Ses01F_impro01_F000", "Ses01F_script01_1_M012"])
    assert [video for _, video in iemocap.names] == ["Ses01F_impro01", "Ses01F_script01_1"]
    assert videos.name([], where="a.pkl").names == []


def test_names_of_videos_with_signs_in_them():
    names = [(f"{video}_{k}", video) for video in YOUTUBE for k in range(3)]
    named = _named([name for name, _ in names])
    assert named.names == names
    assert named.line == 'what is before the last "_" (18 of 18 ids, 6 videos)'


@pytest.mark.parametrize(
    "names",
    [
        YOUTUBE,
        ["emodb_03a01Fa", "emodb_03a01Nc", "emodb_03a02Ta"],
        [f"clip-{k}" for k in range(20)],  # a sign, but all in one
        [f"{v}-{k}" for k, v in enumerate("abcdefgh")],  # a number, but nobody shares a video
        [f"film{v}-{k}" for v in range(6) for k in range(3)] + ["one", "two"],
    ],
)
def test_none_told(names):
    named = _named(names)
    assert named.names == [(name, name) for name in names]
    assert named.untold == len(names)
    assert named.line == (
        f"could not be told from the ids ({len(names)} ids, the first is {names[0]}), each clip counts as "
        "one; say --config.data.video_id=REGEX (in Python: video_id=...)"
    )


def test_one_in_twenty_may_have_another_form():
    names = [f"film{v}-{k}" for v in range(19) for k in range(2)] + ["one", "two"]
    named = _named(names)
    assert named.names[0] == ("film0-0", "film0")
    assert named.names[-1] == ("two", "two")
    assert named.line == 'what is before the last "-" (38 of 40 ids, 21 videos)'
    assert named.untold == 2
    assert _named([*names, "three"]).untold == 41


def test_another_form_of_a_video_that_others_name_is_a_clip_of_it():
    names = [f"film{v}-{k}" for v in range(10) for k in range(4)]
    named = _named([*names, "film3_9", "other_9"])
    assert named.names[-2:] == [("film3_9", "film3"), ("other_9", "other_9")]
    assert named.untold == 1


@pytest.mark.parametrize(
    "form", ["{s}/{v}_{k}", "data/{s}/{v}/{k}.mp4", "{s}_{v}_{k}", "{v}/{s}/{k}", "{s}/{v}[{k}]"]
)
def test_the_name_of_a_split_is_not_part_of_a_videos(form):
    """Clips of each video lie in all splits, under one number each."""
    clips = [(("train", "Dev", "test")[k % 3], v, k) for v in "abcdef" for k in range(6)]
    named = _named([form.format(s=s, v=f"film{v}", k=k) for s, v, k in clips])
    assert [video for _, video in named.names] == [f"film{v}" for _, v, _ in clips]
    assert len({identity for identity, _ in named.names}) == len(clips)
    assert "without the split's name" in named.line
    assert named.untold == 0


@pytest.mark.parametrize("form", ["{s}/film{v}_{k}", "{s}_{v}_{k}"])
def test_splits_that_count_their_videos_anew_keep_their_names(form):
    clips = [(s, v, k) for s in ("train", "valid", "test") for v in range(5) for k in range(4)]
    named = _named([form.format(s=s, v=v, k=k) for s, v, k in clips])
    assert [video for _, video in named.names] == [
        form.format(s=s, v=v, k=k).rpartition("_")[0] for s, v, k in clips
    ]
    assert "split" not in named.line


def test_a_small_split_that_counts_its_videos_anew_keeps_its_name():
    large = [("train", v, k) for v in range(100) for k in range(4)]
    small = [("test", v, k) for v in range(5) for k in range(4)]
    for clips in (
        [*large, *small],
        [*large, ("test", 3, 2), ("test", 100, 0)],
    ):  # one clip of one name is enough
        named = _named([f"{s}/v{v}_{k}" for s, v, k in clips])
        assert [video for _, video in named.names] == [f"{s}/v{v}" for s, v, _ in clips]
    named = _named([f"{s}/v{v}_{k}" for s, v, k in [*large, ("test", 3, 9)]])
    assert named.names[-1] == ("test/v3_9", "v3")


def test_videos_that_lie_in_one_split_each_keep_their_names():
    clips = [("train", "a"), ("train", "b"), ("test", "c")]
    named = _named([f"{s}/{v}_{k}" for s, v in clips for k in range(4)])
    assert {video for _, video in named.names} == {"train/a", "train/b", "test/c"}


@pytest.mark.parametrize("form", ["{s}/{k}", "{s}_{k}", "{s}-{k}.wav"])
def test_the_name_of_a_split_alone_is_not_a_video(form):
    names = [form.format(s=s, k=k) for s in ("train", "valid", "test") for k in range(8)]
    named = _named(names)
    assert named.names == [(name, name) for name in names]
    assert named.untold == 24
    assert "could not be told from the ids" in named.line


def test_a_file_that_names_no_clips():
    def nameless(count):
        return videos.name([], nameless=count, where="a.pkl")

    assert nameless(1) == videos.Named([], "")
    line = "could not be told of all 40 clips, which the file does not name; each of these counts as one"
    assert nameless(40) == videos.Named([], line, 40)


def test_a_file_that_names_some_clips():
    ids = [(f"film{v}_{k}",) for v in "ab" for k in range(3)]
    named = videos.name(ids, nameless=2, where="a.pkl")
    assert [video for _, video in named.names] == ["filma"] * 3 + ["filmb"] * 3
    assert named.untold == 2
    assert named.line == (
        'what is before the last "_" (6 of 6 ids, 2 videos); could not be told of 2 of 8 clips, which the '
        "file does not name; each of these counts as one"
    )
    assert videos.name([("odd",)], nameless=1, where="a.pkl").untold == 1


def test_marks_beside_other_ids():
    named = _named(["v[0]", "v_3", "w$_$4"])
    assert named.names == [("v_0", "v"), ("v_3", "v"), ("w_4", "w")]
    named = _named(["v[0]", "other"])
    assert named.names == [("v_0", "v"), ("other", "other")]
    assert "1 id besides 1 with marks, the first is other" in named.line


def test_what_the_user_says():
    named = _named(["a1x", "a2y", "b[3]"], r"([a-z])\W?\d")
    assert named.names == [("a1x", "a"), ("a2y", "a"), ("b_3", "b")]
    assert named.line == "as you said (3 of 3 ids, 2 videos)"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"--config.data.video_id: '\(' is not a regular expression \(missing \)"),
        ("a", "'a' has 0 groups; put the part that is the video"),
        ("(a)(b)", "has 2 groups"),
        ("(a)-", r"a\.pkl: --config.data.video_id=\(a\)- finds no video in 1 of 2 ids, the first is b-2"),
        ("(a*)-", "finds no video in 1 of 2 ids, the first is b-2"),
    ],
)
def test_what_the_user_must_not_say(pattern, message):
    with pytest.raises(UserError, match=message) as error:
        _named(["a-1", "b-2"], pattern)
    assert "\n" not in str(error.value)


def test_a_start_and_an_end_are_one_clip():
    ids = [(f"vid{v}_{1.5 * k:.2f}_{1.5 * k + 1:.2f}",) for v in range(4) for k in range(5)]
    found = videos.name(ids, where="a.pkl")
    assert {video for _, video in found.names} == {f"vid{v}" for v in range(4)}
    assert found.untold == 0


def test_a_word_that_all_ids_have_is_not_a_video():
    found = videos.name([(f"clip_{k}",) for k in range(20)], where="a.pkl")
    assert len({video for _, video in found.names}) == found.untold == 20
    assert "could not be told from the ids" in found.line


def test_ids_of_which_no_two_share_a_video_are_said():
    found = videos.name([(f"v{k}_0",) for k in range(20)], where="a.pkl")
    assert [video for _, video in found.names] == [f"v{k}" for k in range(20)]
    assert "no two clips of one video; if there are, say --config.data.video_id=REGEX" in found.line
    assert found.untold == 20


def test_a_clip_that_stands_alone_needs_no_video():
    for alone in ("dance", "film_01-3"):
        assert videos.name([(alone,)], where="a.pkl") == videos.Named([(alone, alone)], "")


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("{k}_film{v}", "what is behind the clip's number"),
        ("{k:04d}-film{v}", "what is behind the clip's number"),
        ("clip{k}_of_film{v}", "what is behind the clip's number"),
        ("a/Seg_{k:02d}/film{v}.mp4", "what is behind the clip's number"),
        ("utt{k}_film{v}", "what is behind the clip's number"),
        ("film{v}_{start}_{end}", "what is before the two times"),
        ("film{v}-{start}-{end}.mp4", "what is before the two times"),
    ],
)
def test_the_clip_first_and_times_as_whole_numbers(form, line):
    clips = [(v, k) for v in range(20) for k in range(5 - (v == 3))]
    named = _named([form.format(v=v, k=k, start=5 * k, end=5 * k + 5) for v, k in clips])
    assert [video for _, video in named.names] == [f"film{v}" for v, _ in clips]
    assert (named.line, named.untold) == (f"{line} (99 of 99 ids, 20 videos)", 0)


@pytest.mark.parametrize("form", ["{k}_v{v}", "{k:04d}_film_{v:02d}"])
def test_a_number_that_may_be_the_clips_or_the_videos_tells_nothing(form):
    names = [form.format(v=v, k=k) for v in range(20) for k in range(5)]
    named = _named(names)
    assert named.names == [(name, name) for name in names]
    assert named.untold == 100
    assert "say --config.data.video_id=REGEX" in named.line
    said = _named(names, r"(film_\d+|v\d+)$")
    assert len({video for _, video in said.names}) == 20


@pytest.mark.parametrize(
    "form", ["{v:02d}_{k}", "{v}_clip{k}", "{v}_F{k:03d}", "{v}_film_{k}", "dia{v}_utt{k}", "{v}_seg_{k}"]
)
def test_videos_that_are_numbers_stay_videos(form):
    names = [form.format(v=v, k=k) for v in range(20) for k in range(5)]
    named = _named(names)
    assert len({video for _, video in named.names}) == 20
    assert len({video for name, video in named.names if name in names[:5]}) == 1


def test_names_of_videos_that_differ_in_case_alone_are_said():
    named = _named([f"{'Film' if k % 2 else 'film'}{v}_{k}" for v in range(3) for k in range(4)])
    assert len({video for _, video in named.names}) == 6
    assert named.line.endswith(
        "; Film0 and film0 count as 2 videos, and 2 more names are spelt in several ways; write a video's "
        "name alike in all its ids"
    )
    assert _named(["Film[1]", "film[2]"]).line == (
        "the marks in the ids; Film and film count as 2 videos; write a video's name alike in all its ids"
    )


@pytest.mark.parametrize(
    ("form", "levels"),
    [
        ("film{v}_{s}_{k}", (18, 6)),  # a scene or a film
        ("film{v}_{s}_{k}.mp4", (18, 6)),
        ("clips/film{v}/{s}/{k}.wav", (18, 6)),
        ("film{v}/{s}_{k}", (18, 6)),
        ("film{v}_{s} ({k})", (18, 6)),
        ("film{v}_{s}_aug{k}", (18, 6)),
        ("film{v}_{n}_aug{k}", (18, 6)),  # clips that are numbered through all films
        ("film{v:02d}_clip{s:03d}_cam{k}", (18, 6)),
        ("film{v}_scene{n}_{k}", (18, 6)),
        ("{name}_{s}_{k}", (18, 6)),
        ("film{v}_{s}_{start}_{end}", (18, 6)),
        ("film{v}_{s}_{start}.50_{end}.25", (18, 6)),
    ],
)
def test_three_levels_have_two_readings_and_both_can_be_said(form, levels):
    clips = [(v, s, k) for v in range(6) for s in range(3) for k in range(4)]
    names = [
        form.format(v=v, s=s, k=k, n=3 * v + s, name=YOUTUBE[v], start=5 * k, end=5 * k + 5)
        for v, s, k in clips
    ]
    named = _named(names)
    assert named.names == [(name, name) for name in names]
    assert named.untold == 72
    patterns = re.findall(r"--config\.data\.video_id='(.+?)' where", named.line)
    assert tuple(len({video for _, video in _named(names, pattern).names}) for pattern in patterns) == levels
    assert [int(count) for count in re.findall(r"\((\d+) videos\)", named.line)] == list(levels)
    scenes, films = ([video for _, video in _named(names, pattern).names] for pattern in patterns)
    assert len(set(zip(scenes, [(v, s) for v, s, _ in clips], strict=True))) == levels[0]
    assert len(set(zip(films, [v for v, _, _ in clips], strict=True))) == levels[1]


@pytest.mark.parametrize(
    "form",
    [
        "film_{v:02d}_{k}",
        "video_{v:04d}_{k:04d}",
        "my_film_{v}_{k}",
        "2021-{v:02d}-{w:02d}_{k}",  # a date
        "{day}_{hour}0000_{k}",  # a time of a day
        "Ses0{v}F_script0{v}_{w}_M{k:03d}",
        "Session{v}/Ses0{v}F_script0{v}_{w}_M{k:03d}",
        "Ses0{v}F_impro0{w}_F{k:03d}",
        "show{v}_film{w}_{k}",
        "film{v}_ep{w}_{k}",
        "dia{v}{w}_utt{k}",
        "S0{v}E0{w}_{k}",
        "film{v}_{n}_{k}",  # the number is one film's alone
        "train_{v}{w}_{k}",
        "{s}/film_{v}{w}_{k}",
        "{s}_film_{v}{w}_{k}",
        "{s}/{v}{w}/{k}",
    ],
)
def test_names_of_videos_that_end_in_numbers_stay_told(form):
    clips = [(v, w, k) for v in range(1, 7) for w in range(1, 4) for k in range(4)]
    names = [
        form.format(
            v=v, w=w, k=k, n=3 * v + w, day=20210300 + v, hour=f"{3 * v + w:02d}", s=("train", "test")[v % 2]
        )
        for v, w, k in clips
    ]
    named = _named(names)
    assert named.untold == 0
    assert [video for _, video in named.names] == [re.sub(r"[_/][^_/]+$", "", name) for name in names]


def test_windows_that_overlap_are_times():
    clips = [(v, start, start + length) for v in range(6) for start in (0, 5, 10) for length in (5, 10)]
    for form in ("film{}_{}_{}", "film{}_{}-{}.wav"):
        named = _named([form.format(*clip) for clip in clips])
        assert [video for _, video in named.names] == [f"film{v}" for v, _, _ in clips]
        assert (named.line, named.untold) == ("what is before the two times (36 of 36 ids, 6 videos)", 0)
    one = [f"film{v}_{5 * k}_{5 * k + 5}" for v in range(6) for k in range(6)] + ["film0_5_15", "film1_9_9"]
    assert len({video for _, video in _named(one).names}) == 6, (
        "one start occurs twice, one clip lasts no time"
    )


@pytest.mark.parametrize(
    ("words", "form"),
    [
        (("happy", "sad", "Angry", "neutral"), "{w}_{k:03d}"),
        (("happy", "sad", "Angry", "neutral"), "{w}/{k}.wav"),
        (("happy", "sad", "Angry", "neutral"), "train/{w}_{k:03d}"),
        (("yes", "no", "maybe"), "{w}_{n:03d}"),
        (("happy", "sad"), "speaker1_{w}_{k}"),
    ],
)
def test_labels_in_ids_are_not_videos(words, form):
    clips = [(w, k, 20 * v + k) for v, w in enumerate(words) for k in range(20)]
    named = _named([form.format(w=w, k=k, n=n) for w, k, n in clips])
    assert named.untold == len(clips) == len({video for _, video in named.names})
    assert "could not be told from the ids" in named.line


def test_speakers_before_labels_are_not_clips_before_videos():
    """As in CREMA-D: speaker, sentence, emotion, level."""
    names = [
        f"{v}_{s}_{w}_{e}" for v in range(1001, 1006) for s in "AB" for w in ("ANG", "SAD") for e in "LH"
    ]
    assert _named(names).untold == len(names)


def test_few_words_whose_clips_are_counted_anew_are_videos():
    named = _named([f"{w}_{k}" for w in ("alice", "bob", "carol") for k in range(20)])
    assert {video for _, video in named.names} == {"alice", "bob", "carol"}
    assert named.untold == 0
