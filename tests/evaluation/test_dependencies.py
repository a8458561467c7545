"""Training needs torch, torchvision and accelerate; what the book needs beyond them is not imported with it."""

import subprocess
import sys

WITHOUT = """
import sys
import accelerate, torchvision
for name in list(sys.modules):
    if name.partition(".")[0] in {extras}:
        del sys.modules[name]
sys.modules.update(dict.fromkeys({extras}))
import matlib.training
"""


def test_training_is_imported_without_the_books_libraries():
    code = WITHOUT.format(extras=("scipy", "sklearn", "pandas", "matplotlib", "seaborn"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
