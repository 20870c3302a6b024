"""Units of time of .csd streams: the same clips in each, read equal to the bit or refused by name."""

import ast
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from msa_jax.data import datasets, readers
from msa_jax.data.conventions import Said, rates, times
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
from tests.data.conventions.clips import clips
from tests.data.conventions.csd_files import FILES, RATES, ROWS, UNITS, frame_numbers, name, write_csd

CLIPS = clips()[:24]  # of eight videos
STREAMS = ("labels", "words", "audio", "vision")


def _check(found, *, words=True):
    """The clips are those that were written, to the bit."""
    assert len(found) == len(CLIPS) == 24
    for clip, right in zip(found, CLIPS, strict=True):
        assert (clip.id, clip.video) == (f"{name(right)}_{right.number}", name(right))
        assert clip.label == right.label
        assert clip.text == (right.text if words else "")
        for role in ("audio", "vision"):
            count = 1 if words else ROWS[role]
            np.testing.assert_array_equal(getattr(clip, role), np.repeat(right.by_word[role], count, axis=0))


def _read(folder, **said):
    source = readers.read(folder, **said)
    return source, list(source)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("words", [True, False])
def test_seconds(tmp_path, dtype, words):
    streams = STREAMS if words else ("labels", "audio", "vision")
    source, found = _read(write_csd(tmp_path, CLIPS, streams=streams, dtypes=dict.fromkeys(streams, dtype)))
    _check(found, words=words)
    said = source.reading.conventions["times"]
    assert said.startswith("seconds (the median of 8 videos; where they end against the labels: ")
    assert re.search(r"audio 1\.\d+", said)


TURNED = [(role,) for role in STREAMS] + [
    ("audio", "vision"),
    ("labels", "words"),
    ("words", "audio", "vision"),
]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("roles", "words"), [(roles, words) for roles in TURNED for words in {True, "words" in roles}]
)
def test_finer_units_are_converted(tmp_path, unit, roles, words):
    streams = STREAMS if words else ("labels", "audio", "vision")
    dtype = ("f4", "f8", "i4", "i8", "u4")[(list(UNITS).index(unit) + 2 * TURNED.index(roles)) % 5]
    units, dtypes = dict.fromkeys(roles, UNITS[unit]), dict.fromkeys(roles, dtype)
    source, found = _read(write_csd(tmp_path, CLIPS, streams=streams, units=units, dtypes=dtypes))
    _check(found, words=words)
    assert f"{' and '.join(roles)} in {unit}" in source.reading.conventions["times"]


@pytest.mark.parametrize("dtype", ["f4", "u2"])
def test_all_in_milliseconds(tmp_path, dtype):
    write_csd(tmp_path, CLIPS, units=dict.fromkeys(STREAMS, 1e3), dtypes=dict.fromkeys(STREAMS, dtype))
    source, found = _read(tmp_path)
    _check(found)
    assert source.reading.conventions["times"].startswith("milliseconds (")


def test_word_vectors(tmp_path):
    write_csd(tmp_path, CLIPS, streams=tuple(FILES), units={"word vectors": 1e3})
    for clip, right in zip(readers.read(tmp_path, text_features=True), CLIPS, strict=True):
        np.testing.assert_array_equal(clip.text_features, right.by_word["text"])


@pytest.mark.parametrize(
    ("role", "words", "dtype"),
    [
        ("audio", True, "f4"),
        ("vision", True, "f8"),
        ("words", True, "i4"),
        ("audio", False, "i8"),
        ("vision", False, "u2"),
    ],
)
def test_frame_numbers_are_refused_with_a_mend_that_works(tmp_path, role, words, dtype):
    streams = STREAMS if words else ("labels", "audio", "vision")
    write_csd(tmp_path, CLIPS, streams=streams, dtypes={role: dtype}, change=frame_numbers(role))
    with pytest.raises(UserError) as error:
        readers.read(tmp_path)
    line = str(error.value)
    assert line.startswith(f"{tmp_path / FILES[role][0]}: its times are not in the unit of ")
    assert f"they look like frame numbers, about {RATES[role]} a second" in line
    assert re.search(r"video film_\d\d ends at \d+ here and at [\d.]+ there", line)
    mend = f"(('{role}', {float(RATES[role])}),)"
    assert f'--config.data.time_units="{mend}"' in line
    assert "\n" not in line
    source, found = _read(tmp_path, time_units=((role, float(RATES[role])),))
    _check(found, words=words)
    assert f"{role} in {RATES[role]} units a second, as you said" in source.reading.conventions["times"]


@pytest.mark.parametrize("role", STREAMS)
@pytest.mark.parametrize("factor", [0.5, 2.0, 10.0, 226.0, 500.0, 2000.0, 1 / 60, 16000.0])
def test_other_factors_are_refused(tmp_path, role, factor):
    write_csd(tmp_path, CLIPS, units={role: factor})
    with pytest.raises(UserError, match="say how many of its units make a second") as error:
        readers.read(tmp_path)
    line = str(error.value)
    assert FILES[role][0] in line.partition(":")[0]
    if factor == 1 / 60:
        assert "minutes" in line or role != "audio"
        assert f"('{role}', {1 / 60!r})" in line or role == "labels"
    assert re.search(r"video film_\d\d ends at [\d.e+]+ here and at [\d.]+ there", line)
    _check(_read(tmp_path, time_units=((role, factor),))[1])


@pytest.mark.parametrize("factor", [0.5, 2.0, 226.0])
def test_a_stream_that_ends_elsewhere_than_the_labels_is_refused(tmp_path, factor):
    """Only the ends tell: later ones by streams whose rows last as long as before."""

    def change(role, video, times):
        if role != "audio":
            return times
        return times * factor if factor < 1 else times + (factor - 1) * times.max()

    write_csd(tmp_path, CLIPS, streams=("labels", "audio"), change=change)
    with pytest.raises(UserError, match="are in different units") as error:
        readers.read(tmp_path)
    said = re.search(r'where all are in seconds, say "(.*)"', str(error.value))[1]
    source, found = _read(tmp_path, time_units=ast.literal_eval(said))
    assert len(found) == len(CLIPS)
    assert source.reading.conventions["times"].startswith("seconds, as you said (")


def test_streams_that_differ_are_refused_although_each_may_fit_the_labels(tmp_path):
    """Labels often end before their videos do; audio in half seconds then ends where they do."""

    def early(role, video, times):
        return times / 1.3 if role == "labels" else times

    write_csd(tmp_path, CLIPS, units={"audio": 0.5}, change=early)
    with pytest.raises(
        UserError, match=r"COVAREP\.csd: its times are not in the unit of .*\('audio', 0\.5\)"
    ):
        readers.read(tmp_path)


def test_where_nothing_tells_which_are_seconds_both_are_named(tmp_path):
    def tenfold(role, video, stream):
        return stream * 10 + 1 / 16 if role == "labels" else stream

    write_csd(tmp_path, CLIPS, streams=("labels", "audio"), change=tenfold)
    with pytest.raises(UserError, match="nothing tells which are seconds") as error:
        readers.read(tmp_path)
    assert FILES["labels"][0] in str(error.value)
    assert FILES["audio"][0] in str(error.value)


def test_a_row_a_second_is_not_taken_for_frame_numbers(tmp_path):
    def slow(role, video, stream):
        return stream * 4  # a word lasts a second, and so does a row of vision

    write_csd(tmp_path, CLIPS, change=slow)
    source, found = _read(tmp_path)
    _check(found)
    assert source.reading.conventions["times"].startswith("seconds (")


def test_videos_that_go_on_behind_their_last_label_are_in_seconds(tmp_path):
    """CMU-MOSEI has videos that go on for long; in others the labels go on to the end."""

    def frames(role, video, stream):
        late = 0.0 if video in ("film_00", "film_03", "film_06") else 40 * stream[-1, 1]
        return np.concatenate([stream[:-1], stream[-1:] + late]) if role == "audio" else stream

    write_csd(tmp_path, CLIPS, streams=("labels", "audio"), change=frames)
    source = readers.read(tmp_path)
    assert source.reading.conventions["times"].startswith("seconds (")
    for clip, right in zip(source, CLIPS, strict=True):
        np.testing.assert_array_equal(clip.audio, np.repeat(right.by_word["audio"], 2, axis=0))


@pytest.mark.parametrize("role", STREAMS)
def test_a_stream_that_ends_before_it_starts_is_refused(tmp_path, role):
    write_csd(tmp_path, CLIPS, change=lambda r, video, stream: stream[:, ::-1] if r == role else stream)
    with pytest.raises(
        UserError, match=r"(\d+) of \1 intervals end before they start, as in video film_00; "
    ) as e:
        list(readers.read(tmp_path))
    assert str(e.value).startswith(str(tmp_path / FILES[role][0]))


def test_a_few_rows_that_end_before_they_start_are_left_out_and_told(tmp_path):
    def turn(role, video, stream):
        if role == "audio" and video in ("film_03", "film_07"):
            stream[1] = stream[1, ::-1]  # the second of two equal rows of the first word
        return stream

    source, found = _read(write_csd(tmp_path, CLIPS, change=turn))
    _check(found)
    (note,) = source.reading.later_notes()
    assert note == (
        f"Rows that end before they start are left out; {FILES['audio'][0]} has 2 of them in 2 videos, such "
        "as film_03."
    )
    list(source)
    assert list(source.reading.later_notes()) == [note], "the second time they are the same rows"
    built = datasets.load("mosi", tmp_path, cache=tmp_path / "cache", cut=Cut(), other_counts=True)
    assert note in built.notes
    assert built.conventions == source.reading.conventions


def test_a_whole_video_that_is_turned_is_refused(tmp_path):
    def turn(role, video, stream):
        return stream[:, ::-1] if (role, video) == ("vision", "film_06") else stream

    with pytest.raises(UserError, match=r"Facet_42\.csd: (\d+) of \1 intervals end before .* video film_06;"):
        list(readers.read(write_csd(tmp_path, CLIPS, change=turn)))


def test_rows_of_no_length_are_refused(tmp_path):
    def still(role, video, stream):
        return stream[:, :1].repeat(2, axis=1) if role == "vision" else stream

    with pytest.raises(UserError, match=r"Facet_42\.csd: no row lasts any time, its start is its end"):
        readers.read(write_csd(tmp_path, CLIPS, change=still))


@pytest.mark.parametrize(
    ("role", "factor"),
    [
        *itertools.product(STREAMS, (1000.0, 25.0)),
        *itertools.product(STREAMS[1:], (0.5, 2.0)),
        ("audio", 1e-3),
    ],
)
def test_one_video_in_other_units_is_named(tmp_path, role, factor):
    def odd(stream, video, values):
        return values * factor if (stream, video) == (role, "film_05") else values

    source = readers.read(write_csd(tmp_path, CLIPS, change=odd))
    with pytest.raises(
        UserError, match="its times are in another unit than those of the other videos"
    ) as error:
        list(source)
    assert str(error.value).startswith(f"{tmp_path / FILES[role][0]}, video film_05: ")


def test_one_video_of_frame_numbers_is_named(tmp_path):
    count = frame_numbers("audio")

    def odd(role, video, stream):
        return count(role, video, stream) if video == "film_05" else stream

    with pytest.raises(UserError, match=r"COVAREP\.csd, video film_05: its times are in another unit"):
        list(readers.read(write_csd(tmp_path, CLIPS, change=odd)))


@pytest.mark.parametrize(
    "value",
    [(("sound", 1.0),), (("audio", 0.0),), (("audio", "x"),), ("audio", 1000.0), 25.0, (("audio", np.inf),)],
)
def test_what_is_not_units_is_refused(value):
    with pytest.raises(UserError, match=r"data\.time_units: .* does not say how many units"):
        Said(time_units=value)
    assert Said(time_units=[["audio", 25]]).time_units == (("audio", 25.0),)


def test_units_of_a_stream_that_is_not_there(tmp_path):
    write_csd(tmp_path, CLIPS, streams=("labels", "audio"))
    with pytest.raises(UserError, match=r"time_units names vision, and there are only audio, labels"):
        readers.read(tmp_path, time_units=(("vision", 30.0),))


def test_labels_at_another_rate_are_named_where_they_end_with_the_videos():
    ends = {f"v{k}": 10.0 + 7 * k for k in range(8)}
    streams = {role: ends for role in ("words", "audio", "vision")} | {
        "labels": {video: end / 1.25 for video, end in ends.items()}
    }
    paths = {role: Path(f"{role}.csd") for role in streams}
    with pytest.raises(UserError, match=r"^labels\.csd: the times are 0\.8 times .*\('labels', 0\.8\),\)"):
        rates.check(streams, dict.fromkeys(streams, 1.0), {}, paths)
    assert rates.check(streams, dict.fromkeys(streams, 1.0), {"labels": 1.0}, paths) == ""


@pytest.mark.parametrize("factor", [1.5, 1.25, 0.8, 25 / 24])
@pytest.mark.parametrize("roles", [("audio",), ("words",), ("audio", "vision")])
def test_another_rate_is_refused_with_a_mend_that_works(tmp_path, factor, roles):
    """Videos of 10 to 30 seconds: each clip lasts as long as it does, and one pause behind them varies."""

    def longer(role, video, stream):
        return stream * (1.0 if role in roles else 1 / factor) * (1 + int(video[-2:]) % 5)

    streams = ("labels", "words", "audio", "vision")
    write_csd(tmp_path, CLIPS, streams=streams, change=longer)
    with pytest.raises(
        UserError, match="in all 8 videos, whatever their lengths, as at another rate"
    ) as error:
        readers.read(tmp_path)
    said, right = re.findall(r'"(\(\(.*?\),\))"', str(error.value))
    assert ast.literal_eval(said) == tuple((role, pytest.approx(factor, rel=2e-3)) for role in roles)
    assert ast.literal_eval(right) == tuple((role, 1.0) for role in roles)
    _check(_read(tmp_path, time_units=ast.literal_eval(said))[1])
    assert readers.read(tmp_path, time_units=ast.literal_eval(right)).reading.conventions["times"]


def test_times_that_are_shifted_are_no_unit(tmp_path):
    def shifted(seconds):
        return lambda role, video, stream: stream + seconds * (role == "audio")

    source = readers.read(write_csd(tmp_path, CLIPS, change=shifted(1.0)))
    assert source.reading.conventions["times"].endswith(
        "; audio ends +1 seconds against the words in all 8 videos, vision ends -1 seconds against the audio "
        "in all 8 videos: see whether its times begin where the others do"
    )
    write_csd(tmp_path, CLIPS, change=shifted(100.0))
    with pytest.raises(
        UserError, match=r"its times are 100 later .* in all 8 videos, a shift and not a unit"
    ):
        readers.read(tmp_path)


def test_what_ends_at_one_length_or_anywhere_is_at_no_other_rate():
    ends = {f"v{k}": 10.0 + 7 * k for k in range(10)}
    assert rates.fit({v: end + 1.5 * (k % 3) for k, (v, end) in enumerate(ends.items())}, ends) is None
    assert rates.fit({v: end * 1.01 for v, end in ends.items()}, ends) is None
    assert rates.fit({v: end * 1.25 for v, end in ends.items()}, ends).kind == "factor"
    assert rates.fit({v: end + 2 for v, end in ends.items()}, ends).kind == "shift"
    assert rates.fit(dict.fromkeys(ends, 5.0), dict.fromkeys(ends, 4.0)).kind == "either"
    few = dict(list(ends.items())[:4])
    assert rates.fit({v: end * 1.25 for v, end in few.items()}, few) is None


def _checked(**streams):
    """What `rates.check` says of ends in seconds, in the order of videos v0, v1, ..."""
    ends = {role: {f"v{k}": float(end) for k, end in enumerate(found)} for role, found in streams.items()}
    paths = {role: Path(f"{role}.csd") for role in ends}
    return rates.check(ends, dict.fromkeys(ends, 1.0), {}, paths)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("shortest", "factor", "jitter"), [(6, 1.2, 0.3), (6, 0.8, 0.3), (60, 25 / 24, 1.0), (60, 1.5, 2.0)]
)
@pytest.mark.parametrize("labelled", [1.0, 0.6])
def test_another_rate_is_seen_through_ends_that_jitter(seed, shortest, factor, jitter, labelled):
    """Forty videos, the longest five times as long as the shortest; labels end with the video or anywhere."""
    rng = np.random.default_rng(seed)
    ends = rng.uniform(shortest, 5 * shortest, 40)
    labels = ends * rng.uniform(labelled, 1, 40)
    vision = ends * factor + rng.uniform(-jitter, jitter, 40)
    with pytest.raises(UserError, match=r"^vision\.csd: .*, whatever their lengths") as error:
        _checked(labels=labels, audio=ends, vision=vision)
    said = ast.literal_eval(re.search(r'time_units="(.*?)"', str(error.value))[1])
    assert said == (("vision", pytest.approx(factor, rel=1e-2)),)


def test_another_rate_against_labels_alone_is_seen_through_ends_that_jitter():
    rng = np.random.default_rng(0)
    ends = rng.uniform(6, 30, 40)
    with pytest.raises(UserError, match=r"^vision\.csd: .*\('vision', 1\.2\)"):
        _checked(labels=ends, vision=ends * 1.2 + rng.uniform(-0.3, 0.3, 40))


def test_another_rate_of_which_some_videos_differ_counts_the_others():
    ends = np.random.default_rng(0).uniform(60, 300, 40)
    odd = np.where(np.arange(40) < 5, 1.05, 1.0)
    with pytest.raises(
        UserError, match=r"1\.2 times those of .* in 35 of 40 videos, .* \(video v([5-9]|\d\d) "
    ):
        _checked(labels=ends, audio=ends, vision=ends * 1.2 * odd)


HONEST = {
    "early": lambda rng, n: -rng.uniform(0, 2, n),
    "late": lambda rng, n: rng.uniform(0, 2, n),
    "both": lambda rng, n: rng.uniform(-2, 2, n),
    "few far": lambda rng, n: rng.exponential(1.5, n),
    "shift": lambda rng, n: 1.5 + rng.normal(0, 0.1, n),
    "exact shift": lambda rng, n: np.full(n, 2.0),
    "silence that is cut off": lambda rng, n: -np.where(rng.uniform(size=n) < 0.5, rng.uniform(0, 4, n), 0),
}


@pytest.mark.parametrize("how", HONEST)
@pytest.mark.parametrize("count", [5, 8, 20, 64])
def test_ends_that_differ_by_seconds_are_at_no_other_rate(how, count):
    """Videos of 6 to 30 seconds and of a few seconds to minutes, 20 corpora each; none is refused."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        ends = np.exp(rng.normal(3.5, 0.8, count)) + 4 if seed % 2 else rng.uniform(6, 30, count)
        other = np.maximum(ends + HONEST[how](rng, count), 1)
        _checked(labels=ends, audio=ends, vision=other)
        _checked(labels=other, audio=ends, vision=ends)


def test_videos_of_one_length_do_not_tell_a_factor_from_a_shift():
    for spread in (0, 0.01, 0.3):
        ends = 10 + np.random.default_rng(0).uniform(-spread, spread, 40)
        line = _checked(labels=ends, audio=ends, vision=ends * 0.8)
        assert re.fullmatch(
            r"; vision ends -2(\.\d+)? seconds against the audio in all 40 videos \(or 0\.8 times as late; "
            r"their lengths do not tell\): see whether its times begin where the others do",
            line,
        )


def test_frames_of_audio_and_vision_name_these_and_not_the_labels(tmp_path):
    write_csd(tmp_path, CLIPS, units={"audio": 5.0, "vision": 5.0})
    with pytest.raises(UserError) as error:
        readers.read(tmp_path)
    said = ast.literal_eval(re.search(r'time_units="(.*?)"', str(error.value))[1])
    assert dict(said) == {"audio": 5.0, "vision": 5.0}
    _check(_read(tmp_path, time_units=said)[1])


def test_measures():
    track = times.measure(np.array([[0.0, 1.0], [1.0, 2.0], [4.0, 3.0], [3.0, 3.0]]))
    assert track == times.Track(end=4.0, step=1.0, rows=4, backward=1, whole=True, counting=False)
    assert times.measure(np.zeros((0, 2))) is None
