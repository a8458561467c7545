"""How parts are drawn, the same in all figures: in the colour of the true parts that they match, or hatched.

A learned part has no name. Where the truth is known, each gets the colour of the group of true parts (left and right
as one) that it is matched with one to one, by overlap; a part that is left over is hatched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from matlib.data.truth import NUM_PARTS
from matlib.models.true_parts import TRUE_PART_GROUPS
from matlib.report.figures.style import INK, SMALL, part_colours

UNMATCHED = "no true part"
_DARK, _PALE = (0.1, 0.1, 0.1, 1.0), (0.92, 0.92, 0.92, 1.0)
_STRIPE = 2  # pixels
_DIRECTIONS = ((1, 1), (1, -1), (0, 1), (1, 0))
_SHAPES = "sD^vPX<>"
_ENTRY = 0.88  # inches of a legend


class Marker(NamedTuple):
    """Of a part's keypoint: a round one in the colour of its match, else an angular pale one."""

    shape: str
    face: tuple[float, ...]
    edge: str


@dataclass(frozen=True)
class Look:
    """How the parts 1..K of one network are drawn.

    ``groups`` are the names of what each is matched with, "" for one that is left over; None where no truth is known:
    then every part has a colour that means nothing.
    """

    colours: Float[np.ndarray, "parts 4"]
    groups: tuple[str, ...] | None = None

    @property
    def hatched(self) -> list[int]:
        """The parts that match no true one."""
        return [k for k, group in enumerate(self.groups or (), 1) if not group]

    @property
    def words(self) -> str:
        """For a caption: what the colours mean."""
        if self.groups is None:
            return "The colours tell the parts apart, and mean nothing else."
        return ("A learned part and its keypoint have the colour of the true part that the part is matched with, one "
                "to one by overlap; one that is left over is hatched, its keypoint pale and angular.")

    def paint(self, parts: Int[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 4"]:
        """A picture of each pixel's part; the background is transparent."""
        picture = self.colours[parts]
        for number, part in enumerate(self.hatched):
            where = parts == part
            picture[where] = _hatch(number, parts.shape)[where]
        return picture

    def marker(self, part: int) -> Marker:
        """How the keypoint of a part, 1..K, is drawn."""
        if part not in self.hatched:
            return Marker("o", tuple(self.colours[part]), "white")
        return Marker(_SHAPES[self.hatched.index(part) % len(_SHAPES)], _PALE, "black")

    def legend(self) -> dict[str, tuple[float, ...] | None]:
        """What the colours mean, in the order of the body; None is hatched."""
        known = {name: tuple(_GROUP_COLOURS[name]) for name in TRUE_PART_GROUPS if name in (self.groups or ())}
        return known | ({UNMATCHED: None} if self.hatched else {})


def without_truth(parts: int) -> Look:
    """A colour for each part that says no more than its number."""
    return Look(part_colours(parts))


def of_groups(groups: Sequence[str]) -> Look:
    """Of parts that are matched with these groups of true parts, or with none of them ("")."""
    colours = [_GROUP_COLOURS.get(group, np.array(_PALE)) for group in groups]
    return Look(np.array([np.zeros(4), *colours]), tuple(groups))


def of_joints(parts: Sequence[Sequence[int]]) -> Look:
    """Of parts that are some joints each, COCO's numbers: by the true part that the last of them ends."""
    return of_groups([_ENDED[joints[-1]] for joints in parts])


def add_legend(figure: Figure, *looks: Look) -> None:
    """One legend for a figure, below it: what the colours of all its looks mean; none where they mean nothing."""
    entries = {name: colour for look in looks for name, colour in look.legend().items()}
    order = [*TRUE_PART_GROUPS, UNMATCHED]
    handles = [Patch(label=name, edgecolor=INK, linewidth=0.8, **_fill(entries[name]))
               for name in order if name in entries]
    if handles:
        fits = max(2, int(figure.get_figwidth() / _ENTRY))
        columns = -(-len(handles) // -(-len(handles) // fits))  # rows of the same length
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=SMALL, handlelength=1.4,
                      columnspacing=1.2)


def _fill(colour: tuple[float, ...] | None) -> dict:
    return {"facecolor": colour} if colour else {"facecolor": "none", "hatch": "//////"}


def _hatch(number: int, shape: tuple[int, ...]) -> Float[np.ndarray, "h w 4"]:
    """Stripes, dark and pale, in one of four directions and then wider."""
    down, across = _DIRECTIONS[number % len(_DIRECTIONS)]
    width = _STRIPE * (1 + number // len(_DIRECTIONS))
    y, x = np.indices(shape)
    return np.where(((down * y + across * x) // width % 2 == 0)[..., None], _DARK, _PALE)


_GROUP_COLOURS = dict(zip(TRUE_PART_GROUPS, part_colours(len(TRUE_PART_GROUPS))[1:]))
_ENDED = ("head",) * 5 + ("torso",) * 2 + ("arms",) * 4 + ("torso",) * 2 + ("thighs",) * 2 + ("shanks",) * 2
#: The labelled parts of a rendered image, 1..13, each in the colour of its group.
TRUE_PARTS = of_groups([next(name for name, own in TRUE_PART_GROUPS.items() if part in own)
                        for part in range(1, NUM_PARTS + 1)])
