"""What a command says where its input is bad."""

from pathlib import Path

import pytest

from matlib.errors import CommandParser, MatlibError, command_line, did_you_mean

SENTENCE = "the image x.jpg is damaged; put the set there again"


@pytest.mark.parametrize(("message", "told"), [
    (SENTENCE, SENTENCE),
    ("a first line\nand a second", "a first line\nand a second"),  # nothing of a longer message is lost
    (f"Caught MatlibError in DataLoader worker process 0.\nTraceback ...\nmatlib.errors.MatlibError: {SENTENCE}\n",
     SENTENCE),
])
def test_a_command_says_the_sentence_and_nothing_else(message, told, capsys):
    def bad():
        raise MatlibError(message)

    with pytest.raises(SystemExit) as stopped:
        command_line(bad)
    assert stopped.value.code == 2 and capsys.readouterr().err == f"error: {told}\n"


KNOWN = ("model.parts", "model.heads", "train.epochs", "train.head_lr", "seed", "model.method.stripes")


@pytest.mark.parametrize(("name", "near"), [
    ("parts", ["model.parts"]), ("model.part", ["model.parts"]), ("loss.parts", ["model.parts"]),
    ("trian.epochs", ["train.epochs"]), ("Train.Epochs", ["train.epochs"]), ("train.head-lr", ["train.head_lr"]),
    ("model.method.stripe", ["model.method.stripes"]), ("seeds", ["seed"]), ("colour", []), ("", []), ("model.", []),
])
def test_the_nearest_known_name_is_suggested(name, near):
    assert did_you_mean(name, KNOWN) == (f"; did you mean {' or '.join(near)}?" if near else "")
    assert did_you_mean(name, []) == ""


@pytest.mark.parametrize("words, expected", [(["--out", "."], Path()), (["--out=a b"], Path("a b")),
                                             (["--out", ""], None)])
def test_an_empty_path_is_told_and_no_folder(words, expected, capsys):
    parser = CommandParser()
    parser.add_argument("--out", type=Path)
    if expected is not None:
        assert parser.parse_args(words).out == expected
        return
    with pytest.raises(SystemExit):
        parser.parse_args(words)
    assert "argument --out: the path is empty" in capsys.readouterr().err
