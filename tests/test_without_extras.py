"""Where the extras are not installed, a command that needs one says so in a sentence, and the others work."""

import subprocess
import sys

import pytest

EXTRAS = ("sklearn", "pandas", "matplotlib", "seaborn", "papermill", "IPython")
HIDE = """
import runpy, sys
import accelerate, torchvision
hidden = {hidden}
for name in list(sys.modules):
    if name.partition(".")[0] in hidden:
        del sys.modules[name]
sys.modules.update(dict.fromkeys(hidden))
sys.argv = {arguments}
runpy.run_module({module!r}, run_name="__main__", alter_sys=False)
"""


def start(module, *arguments, hidden=EXTRAS):
    program = HIDE.format(hidden=hidden, module=module, arguments=[module, *arguments])
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


@pytest.mark.parametrize(("module", "arguments"), [
    ("matlib.scoring", ()), ("matlib", ("score",)), ("matlib.difficulty", ()), ("matlib", ("difficulty",))])
@pytest.mark.parametrize("alone", [True, False])
def test_a_command_without_its_extra_says_so(module, arguments, alone):
    needed = "sklearn" if "scor" in module + str(arguments) else "pandas"
    done = start(module, *arguments, "--help", hidden=(needed,) if alone else EXTRAS)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr == (f"error: the package {needed} is missing; install what this command needs: "
                           "pip install -e '.[book]' in a checkout of matlib\n")


@pytest.mark.parametrize("module", ["matlib.training", "matlib.testing", "matlib.extractor", "matlib.export",
                                    "matlib.data", "matlib.annyville"])
def test_the_other_commands_do_without_extras(module):
    done = start(module, "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: "), done.stderr
