"""Runs whose encoder comes from a folder: what is said of it at the start, and what is refused."""

import json
import pickle

import pytest

from msa_jax import assemble, cli
from msa_jax.data import opening
from msa_jax.main import main

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "good great fine bad awful poor movie film story actor plot and the a was really".split()  # noqa: SIM905
CASED = [*SPECIAL, *WORDS, *(word.capitalize() for word in WORDS)]


@pytest.fixture
def cased(small_model):
    """A BERT's folder with a cased vocab.txt alone."""
    folder, _ = small_model("bert_gelu")
    config = json.loads((folder / "config.json").read_text())
    filled = [*CASED, *(f"[unused{k}]" for k in range(config["vocab_size"] - len(CASED)))]
    (folder / "vocab.txt").write_text("\n".join(filled) + "\n", "utf-8")
    return folder


@pytest.fixture
def command(cased, tiny_overrides, words_folder, tmp_path):
    """A function from more settings to the arguments of a run on texts that begin with a capital."""
    for path in words_folder.glob("*.pkl"):
        clips = [
            ((tokens, vision, audio, [words[0].capitalize(), *words[1:]]), label, name)
            for (tokens, vision, audio, words), label, name in pickle.loads(path.read_bytes())
        ]
        path.write_bytes(pickle.dumps(clips))
    more = {"text.encoder": cased, "text.max_length": 21, "text.max_content": 19, "model.gmra.heads": 3}

    def arguments(**values):
        settings = [f"--config.{key}={value}" for key, value in {**more, **values}.items()]
        return [
            "--config=configs/crosssent_mosi.py",
            f"--workdir={tmp_path / 'run'}",
            *tiny_overrides,
            *settings,
        ]

    return arguments


def notes(argv):
    """(the pieces of a run, what it says at its start)."""
    config = cli.parse(argv).config
    pieces = assemble.assemble(config, opening.open_corpus(config))
    return pieces, [line for line in pieces.summary(config) if line.startswith("note: ")]


def test_a_cased_vocabulary_stays_cased_and_it_is_said_once(command, cased):
    pieces, said = notes(command(**{"data.lowercase": False}))
    first = [CASED[tokens[1]] for tokens in pieces.splits["train"].tokens]
    assert first == [word.capitalize() for word in first]
    assert [line for line in said if str(cased) in line] == [
        f"note: the vocab.txt of {cased} has capitals and no tokenizer_config.json says do_lower_case: "
        'the case of texts is kept ("do_lower_case": true there lowers them)'
    ]


def test_lowering_texts_for_a_cased_vocabulary_is_said(command, cased):
    pieces, said = notes(command(**{"data.lowercase": True}))
    assert not any(CASED[tokens[1]][0].isupper() for tokens in pieces.splits["train"].tokens)
    assert (
        f"note: data.lowercase=True lowers the texts, though {cased} tells capitals from small letters and "
        "10 of the first 10 texts have both; --config.data.lowercase=False keeps them"
    ) in said


def test_an_encoder_that_lacks_rows_for_tokens_is_refused_before_anything_is_written(
    command, cased, tmp_path, capsys
):
    with (cased / "vocab.txt").open("a", encoding="utf-8") as f:
        f.write("[SPEAKER_A]\n")
    assert main(command()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "tokens that its weights lack: '[SPEAKER_A]' (97); the word embedding has 97 rows." in line
    assert not (tmp_path / "run").exists()
