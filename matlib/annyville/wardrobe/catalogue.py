"""The garments that exist: how each is cut, what it may be made of, and how often it is worn."""

from __future__ import annotations

from dataclasses import dataclass

from .colours import OUTER_ODDS, RAIN_ODDS

GRAPHIC = ("logo", "badge", "disc", "text", "text", "print", "number")
WOVEN = ("checks", "plaid", "plaid", "vertical", "pinstripe", "windowpane", "floral", "dots")
STRIPED = ("stripes", "wide stripes", "uneven stripes")
BLOCKS = ("two-tone", "sleeves", "raglan", "yoke", "band", "halves", "diagonal", "panels")


@dataclass(frozen=True)
class TopCut:
    """A top. sleeves: arm coordinates where they may end; ease: metres off the body, least and most; neck: depth
    of the neckline in metres; plain: odds that it has no pattern."""

    sleeves: tuple[float, ...]
    patterns: tuple[str, ...]
    plain: float = 0.4
    ease: tuple[float, float] = (0.009, 0.016)
    neck: tuple[float, float] = (0.0, 0.05)
    hem: tuple[float, float] = (-0.03, 0.10)
    collar: bool = False
    hood: bool = False
    trims: tuple[str, ...] = ()
    fixed: str = ""  # the pattern where there is no other


TOPS: dict[str, TopCut] = {
    "t-shirt": TopCut((0.5, 0.58, 0.66), (*GRAPHIC, *STRIPED, *BLOCKS, "dots", "batik", "camo", "gradient"), 0.36),
    "tank top": TopCut((0.10,), (*STRIPED, "logo", "text", "batik", "number"), 0.5, (0.006, 0.011), (0.04, 0.08)),
    "long sleeve": TopCut((1.9, 1.25), (*STRIPED, *BLOCKS, "logo", "text", "badge"), 0.4, (0.007, 0.012)),
    "shirt": TopCut(
        (1.9, 1.9, 1.15, 0.66), WOVEN, 0.45, (0.010, 0.017), (0.0, 0.03), collar=True, trims=("buttons", "pocket")
    ),
    "polo": TopCut(
        (0.6, 0.66), ("wide stripes", "stripes", "yoke", "band", "badge", "panels"), 0.45, neck=(0.0, 0.03),
        collar=True, trims=("placket", "cuffs"),
    ),
    "sweater": TopCut(
        (1.93,), ("cable", "wide stripes", "uneven stripes", "argyle", "zigzag", "band", "yoke"), 0.0, (0.014, 0.024),
        (0.0, 0.04), trims=("cuffs",), fixed="rib",
    ),
    "turtleneck": TopCut((1.93,), ("rib", "cable", "stripes"), 0.3, (0.008, 0.016), (-0.045, -0.03)),
    "hoodie": TopCut(
        (1.93,), (*GRAPHIC, "sleeves", "two-tone", "yoke", "panels", "camo"), 0.42, (0.018, 0.028), (0.0, 0.02),
        (-0.02, 0.06), hood=True, trims=("cuffs", "kangaroo", "strings"),
    ),
    "sweatshirt": TopCut((1.93,), (*GRAPHIC, *BLOCKS), 0.35, (0.016, 0.025), (0.0, 0.02), trims=("cuffs",)),
    "blouse": TopCut(
        (1.9, 0.9, 0.6), ("floral", "floral", "dots", "leopard", "vertical", "gradient"), 0.35,
        neck=(0.03, 0.1),
    ),
    "tunic": TopCut((1.9, 1.2, 0.6), ("floral", "zigzag", "plaid", "batik", "dots"), 0.4, hem=(-0.2, -0.1)),
}
TOP_SEASON = {
    "summer": {
        True: {"t-shirt": 30, "tank top": 16, "shirt": 8, "blouse": 20, "tunic": 8, "polo": 3, "long sleeve": 6},
        False: {"t-shirt": 46, "tank top": 6, "shirt": 20, "polo": 16, "long sleeve": 6},
    },
    "mild": {
        True: {
            "t-shirt": 14, "long sleeve": 18, "shirt": 10, "blouse": 16, "sweater": 12, "hoodie": 10,
            "sweatshirt": 8, "tunic": 8,
        },
        False: {
            "t-shirt": 18, "long sleeve": 14, "shirt": 20, "polo": 6, "sweater": 12, "hoodie": 18,
            "sweatshirt": 12,
        },
    },
    "winter": {
        True: {"sweater": 34, "turtleneck": 20, "hoodie": 14, "long sleeve": 14, "shirt": 8, "blouse": 6},
        False: {"sweater": 34, "turtleneck": 8, "hoodie": 24, "sweatshirt": 12, "shirt": 16, "long sleeve": 6},
    },
}


@dataclass(frozen=True)
class OuterCut:
    """Something worn over the top. hem: lowest and highest height of the mean body; bulk: metres over the top;
    open: odds that it hangs open in front; hood: odds of one."""

    hem: tuple[float, float]
    bulk: tuple[float, float]
    patterns: tuple[str, ...] = ("plain",)
    open: float = 0.35
    hood: float = 0.0
    sleeveless: bool = False
    collar: bool = False
    trims: tuple[str, ...] = ("zip",)
    odds: dict[str, int] | None = None
    denim: bool = False
    gloss: float = 0.0


OUTERS: dict[str, OuterCut] = {
    "jacket": OuterCut((0.02, 0.10), (0.014, 0.02), ("plain", "plain", "sleeves", "yoke", "panels", "band"), 0.4, 0.3),
    "bomber": OuterCut((0.06, 0.12), (0.018, 0.026), ("plain", "plain", "sleeves"), 0.4, trims=("zip", "cuffs")),
    "track jacket": OuterCut(
        (0.04, 0.1), (0.011, 0.016), ("yoke", "panels", "plain"), 0.3, 0.2, trims=("zip", "arm stripes"),
    ),
    "denim jacket": OuterCut(
        (0.06, 0.12), (0.013, 0.018), open=0.6, collar=True, trims=("buttons", "pockets"), denim=True,
    ),
    "leather jacket": OuterCut((0.06, 0.12), (0.014, 0.02), open=0.5, collar=True, gloss=0.2),
    "puffer": OuterCut((-0.02, 0.08), (0.028, 0.04), ("quilt", "quilt", "diamond quilt"), 0.25, 0.5),
    "gilet": OuterCut((0.02, 0.10), (0.022, 0.032), ("quilt", "diamond quilt", "plain"), 0.4, sleeveless=True),
    "high-vis vest": OuterCut(
        (0.02, 0.08), (0.014, 0.018), open=0.3, sleeveless=True, trims=("zip", "bands"),
        odds={"lime": 3, "orange": 2},
    ),
    "blazer": OuterCut(
        (-0.06, 0.0), (0.012, 0.016), ("plain", "plain", "plain", "pinstripe", "windowpane"), 0.35,
        trims=("lapels", "two buttons", "pocket"),
    ),
    "cardigan": OuterCut(
        (-0.12, 0.06), (0.012, 0.018), ("rib", "cable", "plain", "uneven stripes"), 0.7,
        trims=("buttons", "cuffs"),
    ),
    "parka": OuterCut(
        (-0.3, -0.12), (0.024, 0.034), ("plain",) * 8 + ("yoke", "yoke", "camo"), 0.3, 0.9,
        trims=("zip", "flaps"),
    ),
    "long puffer": OuterCut((-0.42, -0.2), (0.028, 0.038), ("quilt",), 0.2, 0.6),
    "coat": OuterCut(
        (-0.45, -0.2), (0.018, 0.026), ("plain", "plain", "plain", "checks", "windowpane"), 0.4, collar=True,
        trims=("lapels", "two buttons", "flaps"),
    ),
    "trench coat": OuterCut(
        (-0.45, -0.25), (0.016, 0.022), open=0.25, collar=True, trims=("lapels", "double buttons", "belt"),
        odds={"beige": 5, "khaki": 3, "camel": 2, "black": 2, "navy": 2},
    ),
    "raincoat": OuterCut(
        (-0.35, -0.02), (0.02, 0.03), open=0.2, hood=1.0, trims=("zip", "flaps"), odds=RAIN_ODDS, gloss=0.18,
    ),
}
OUTER_SEASON = {
    "summer": {"none": 88, "denim jacket": 3, "cardigan": 3, "blazer": 3, "high-vis vest": 2, "jacket": 1},
    "mild": {
        "none": 44, "jacket": 10, "bomber": 6, "track jacket": 5, "denim jacket": 7, "leather jacket": 5, "gilet": 4,
        "high-vis vest": 2, "blazer": 5, "cardigan": 7, "raincoat": 3, "trench coat": 3,
    },
    "winter": {
        "none": 6, "jacket": 10, "bomber": 7, "leather jacket": 5, "puffer": 20, "gilet": 4, "parka": 14,
        "long puffer": 8,
        "coat": 16, "trench coat": 3, "raincoat": 3, "high-vis vest": 2,
    },
}


@dataclass(frozen=True)
class LegCut:
    """Trousers. offset, flare: metres off the leg at the top, and more at the end; end: height of the end."""

    offset: float
    flare: float
    end: tuple[float, float] = (-0.765, -0.745)
    denim: float = 0.0
    patterns: tuple[str, ...] = ("plain",)
    trims: tuple[str, ...] = ()


TROUSERS: dict[str, LegCut] = {
    "straight": LegCut(0.012, 0.020, denim=0.55, trims=("fly",)),
    "slim": LegCut(0.005, 0.006, (-0.745, -0.70), denim=0.6, trims=("fly",)),
    "wide": LegCut(0.016, 0.042, (-0.785, -0.765), denim=0.25),
    "chinos": LegCut(0.010, 0.014, (-0.755, -0.71), trims=("fly", "belt")),
    "suit trousers": LegCut(0.010, 0.016, patterns=("plain", "plain", "pinstripe"), trims=("fly", "crease")),
    "joggers": LegCut(0.013, 0.006, (-0.735, -0.71), trims=("side stripe", "leg cuffs")),
    "cargo": LegCut(0.016, 0.022, patterns=("plain", "plain", "plain", "camo"), trims=("leg pockets",)),
    "leggings": LegCut(0.001, 0.0, (-0.73, -0.55), patterns=("plain", "plain", "plain", "panels", "camo")),
    "shorts": LegCut(
        0.015, 0.022, (-0.36, -0.2), denim=0.25,
        patterns=("plain", "plain", "plain", "plaid", "camo", "floral"), trims=("fly",),
    ),
    "sport shorts": LegCut(0.017, 0.026, (-0.33, -0.16), trims=("side stripe",)),
}
SKIRTS = {  # lengths (heights of the hem), flare at the hem in metres, pleats around
    "pencil skirt": ((-0.34, -0.2), 0.0, 0),
    "flared skirt": ((-0.42, -0.16), 0.05, 0),
    "pleated skirt": ((-0.5, -0.18), 0.045, 34),
    "long skirt": ((-0.68, -0.52), 0.05, 0),
}
DRESSES = {
    "short dress": ((-0.3, -0.16), 0.02, 0),
    "flared dress": ((-0.42, -0.24), 0.06, 0),
    "pleated dress": ((-0.5, -0.3), 0.05, 30),
    "long dress": ((-0.7, -0.52), 0.06, 0),
}
LOWER_SEASON = {
    "summer": {
        True: {
            "slim": 12, "wide": 10, "straight": 6, "leggings": 7, "shorts": 16, "sport shorts": 4, "flared skirt": 8,
            "pleated skirt": 6, "long skirt": 5, "pencil skirt": 3, "short dress": 9, "flared dress": 8,
            "long dress": 6,
        },
        False: {"shorts": 34, "sport shorts": 14, "straight": 16, "slim": 10, "chinos": 14, "joggers": 4, "cargo": 6},
    },
    "mild": {
        True: {
            "slim": 22, "straight": 16, "wide": 12, "leggings": 14, "joggers": 5, "chinos": 4, "pencil skirt": 5,
            "flared skirt": 6, "pleated skirt": 5, "long skirt": 3, "short dress": 4, "flared dress": 4,
        },
        False: {"straight": 34, "slim": 20, "chinos": 20, "joggers": 12, "cargo": 8, "wide": 4, "shorts": 4},
    },
    "winter": {
        True: {
            "slim": 28, "straight": 22, "wide": 12, "leggings": 16, "joggers": 5, "pencil skirt": 4,
            "pleated skirt": 4, "flared dress": 4,
        },
        False: {"straight": 40, "slim": 22, "chinos": 18, "joggers": 11, "cargo": 8},
    },
}
SHOES = {
    "summer": {"sneakers": 50, "sandals": 20, "leather shoes": 10, "canvas shoes": 16},
    "mild": {"sneakers": 58, "leather shoes": 20, "ankle boots": 12, "canvas shoes": 10},
    "winter": {"sneakers": 36, "leather shoes": 18, "ankle boots": 26, "boots": 16},
}
OUTER_COLOURS = {name: cut.odds or OUTER_ODDS for name, cut in OUTERS.items()}
HAIR = {
    True: {
        "short": 6, "bob": 12, "thick": 5, "bun": 13, "top knot": 5, "mid": 16, "long": 20, "tail": 14,
        "braid": 5, "two braids": 4, "afro": 6,
    },
    False: {
        "bald": 8, "cropped": 16, "short": 40, "thick": 22, "undercut": 6, "mid": 3, "top knot": 2, "tail": 2,
        "afro": 6, "long": 1,
    },
}
HEADWEAR = {
    "summer": {"none": 76, "cap": 16, "brim": 6, "bucket": 4},
    "mild": {"none": 80, "cap": 12, "beanie": 5, "bucket": 2},
    "winter": {"none": 60, "beanie": 26, "bobble hat": 8, "cap": 5, "brim": 2},
}
BAGS = {
    True: {"none": 34, "backpack": 18, "shoulder": 16, "cross-body": 12, "hand": 10, "shopping": 8, "tote": 8},
    False: {"none": 50, "backpack": 24, "cross-body": 9, "messenger": 6, "briefcase": 4, "shopping": 6, "belt bag": 3},
}
