"""Methods with one mistake each, as users make them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from toy_methods import Largest

from matlib.models import Method


class Alone(Largest):
    def __init__(self, config, identities):
        super(Method, self).__init__()


class Plain(Largest):
    class Settings:
        power = 1.0


class Bare(Largest):
    @dataclass(frozen=True)
    class Settings:
        power: float


class Sized(Largest):
    @dataclass(frozen=True)
    class Settings:
        sizes: tuple = (1, 2)


class Spelled(Largest):
    @dataclass(frozen=True)
    class Settings:
        power: int = "three"


class Misread(Largest):
    also_reads = frozenset({"model.widht"})


class Settable(Largest):
    """No mistake: what a command line reads as nothing, or as a number, are words here."""

    @dataclass(frozen=True)
    class Settings:
        pool: Literal["max", "none"] = "max"
        file: str = ""
        times: Literal[1, 2, 4] = 1
        shared: ClassVar[tuple[int, ...]] = (1, 2)


class Word(Largest):
    truth = "joints"


class Unknown(Largest):
    truth = ("pose",)


class Nothing(Largest):
    def describe(self, output):
        return None


class One(Largest):
    def describe(self, output):
        return output.after.mean(dim=0)


class Long(Largest):
    """No mistake: ranking asks for no length."""

    def describe(self, output):
        return 3 + output.after


class Mistyped(Largest):
    weights = {"tripet": 0.5}


class Rows(Largest):
    def losses(self, output, step):
        return {name: term[None] for name, term in super().losses(output, step).items()}


class Numbers(Largest):
    def losses(self, output, step):
        return super().losses(output, step) | {"constant": 0.5}


class Empty(Largest):
    def losses(self, output, step):
        return {}


class Summed(Largest):
    def losses(self, output, step):
        return {"total": step.identity(output.logits)}
