"""What a command says where its input is bad."""

import pytest

from matlib.errors import MatlibError, command_line

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
