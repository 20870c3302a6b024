"""Terminal texts: escapes, lengths, and consoles that lack a character."""

import io
import sys

import pytest

from msa_jax import terminal
from msa_jax.errors import UserError, exit_code
from msa_jax.progress import say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a good film, 电影 é", "a good film, 电影 é"),
        ("\x1b[31m\x07\x00", r"\x1b[31m\x07\x00"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("abc\u202edef\u2066\u200f\u2028", r"abc\u202edef\u2066\u200f\u2028"),
        ("\udcff\ud83d", r"\udcff\ud83d"),
        ("\U000e0041\ufeff", r"\U000e0041\ufeff"),
    ],
)
def test_what_steers_a_terminal_is_escaped(text, shown):
    assert terminal.printable(text) == shown
    assert terminal.printable(shown) == shown


def test_the_middle_of_a_long_text_is_left_out():
    assert terminal.cut("abcdefghij", 10) == "abcdefghij"
    assert terminal.cut("abcdefghijk", 10) == "abcde…hijk"
    assert terminal.cut("abcdefghijk", 9) == "abcd…hijk"


def test_an_error_is_one_line_of_a_length():
    message = str(UserError(f"{'x' * 9_000_000}\n\x1b[2J; mend it"))
    assert len(message) == terminal.LONGEST == 2000
    assert message.startswith("xxx")
    assert message.endswith(r"x \x1b[2J; mend it")


def test_the_line_of_a_command_has_a_length(capsys):
    def job():
        raise UserError("x" * 5000)

    assert exit_code(job, interrupted="interrupted", worded=lambda text: text.replace("x", "xxx")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) == 2000


@pytest.mark.parametrize("filename", ["a\x1bb", b"a\x1bb", 3, None])
def test_an_error_of_the_system_names_its_file(filename, capsys):
    def job():
        raise OSError(28, "No space left on device", filename)

    assert exit_code(job, interrupted="interrupted") == 2
    name = r"a\x1bb" if isinstance(filename, str | bytes) else "input/output"
    assert capsys.readouterr().err == f"msa_jax: {name}: No space left on device\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_that_lacks_a_character_gets_its_escape(encoding, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding, newline=""))
    say("电 \u202e 😀")
    terminal.prepare_streams()
    print("影")
    sys.stdout.flush()
    assert raw.getvalue() == rb"\u7535 \u202e \U0001f600" + b"\n" + rb"\u5f71" + b"\n"
