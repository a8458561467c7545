"""Persons: body shape, clothes, hair, hats and bags of one identity, as one mesh in the rest pose.

Clothes are MakeHuman's tights and skirt shells pushed outward; where a garment ends is a clip function of the
mean body's coordinates, interpolated a pixel at a time, so that hems and sleeves are clean lines. Colours and
patterns are functions of the same coordinates. The arm coordinate u runs 0 at the shoulder, 1 at the elbow, 2
at the wrist; it is -1 off the arms, and -2 on cloth that hangs free of the body. Skin, hair and clothing draws are
set by hand for variety and describe no population.

`colours` and `catalogue` say what there is, `outfit` draws what one identity wears, `patterns`, `trims` and
`materials` colour it, `torso`, `legs`, `feet`, `neck`, `head`, `bags` and `props` build it, `person` puts it together.
"""

from .person import LIKENESS, Person, Posed, make_person
from .space import CARRIED, HANGING, body_part

__all__ = ["CARRIED", "HANGING", "LIKENESS", "Person", "Posed", "body_part", "make_person"]
