"""What one identity wears and how it looks, drawn before anything is made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..textures import linear
from . import catalogue as shop
from . import colours as dye

COMMON_OUTFITS = 12  # that look-alikes share, a gender
ALIKE = 0.12  # spread of look-alikes' colours (natural logarithm of linear light)


@dataclass(frozen=True)
class Cloth:
    """Pattern, three colours (linear light), and the seed of the pattern's details."""

    pattern: str
    colours: tuple[np.ndarray, np.ndarray, np.ndarray]
    seed: int
    denim: float = 0.0  # over 0: denim, worn pale by so much


@dataclass(frozen=True)
class Garment:
    """One piece. kind: a name of the catalogue; hem: height of the mean body where it ends; ease: metres off what is
    below."""

    kind: str
    cloth: Cloth
    hem: float
    ease: float = 0.0
    sleeve: float = 0.0
    neck: float = 0.0
    loose: float = 0.0
    open: bool = False
    hood: str = "none"  # "none", "down" or "up"
    trim: tuple[float, float, float] = (0.5, 0.5, 0.5)  # numbers in 0..1 that vary details


@dataclass(frozen=True)
class Look:
    """The person beneath: age ("child", "adult", "elder"), skin, hair, face. Colours in linear light."""

    age: str
    female: bool
    tone: np.ndarray
    lips: np.ndarray
    hair: np.ndarray
    style: str
    length: float  # of long hair, 0..1
    beard: str
    glasses: str


@dataclass(frozen=True)
class Outfit:
    """Everything that stays with an identity from picture to picture."""

    look: Look
    season: str
    upper: Garment
    lower: Garment
    outer: Garment | None
    shoes: str
    shoe_colour: np.ndarray
    shoe_top: float
    white_sole: bool
    socks: np.ndarray | None
    sock_top: float
    tights: np.ndarray | None
    headwear: str
    hat_colour: np.ndarray
    scarf: np.ndarray | None
    bag: str
    bag_colour: np.ndarray
    bag_size: float
    side: int
    prop: str
    prop_colour: np.ndarray

    @property
    def skirted(self) -> bool:
        """Whether a skirt or a dress takes the place of trousers."""
        return self.lower.kind not in shop.TROUSERS

    @property
    def dress(self) -> bool:
        """Whether top and skirt are one piece."""
        return self.lower.kind in shop.DRESSES

    def hood(self) -> Garment | None:
        """The outermost garment with a hood."""
        return next((g for g in (self.outer, self.upper) if g is not None and g.hood != "none"), None)

    def changes(self) -> tuple[str, ...]:
        """What may differ on some of an identity's pictures, see `changed`."""
        found = []
        if self.outer is not None and shop.OUTERS[self.outer.kind].open > 0:
            found.append("front")
        if self.hood() is not None and self.headwear in ("none", "cap"):
            found.append("hood")
        if self.bag in ("shoulder", "cross-body", "messenger", "tote"):
            found.append("side")
        return tuple(found)

    def changed(self, change: str) -> Outfit:
        """The same clothes worn otherwise: "front" opens or closes the jacket, "hood" puts the hood up or down,
        "side" moves the bag to the other shoulder; "" changes nothing."""
        if change == "front" and self.outer is not None:
            return replace(self, outer=replace(self.outer, open=not self.outer.open))
        if change == "side":
            return replace(self, side=-self.side)
        hooded = self.hood()
        if change == "hood" and hooded is not None:
            turned = replace(hooded, hood="down" if hooded.hood == "up" else "up")
            return replace(self, outer=turned) if hooded is self.outer else replace(self, upper=turned)
        return self


@dataclass(frozen=True)
class _Draws:
    """Two sources of chance: `kind` for what look-alikes share, `own` for what tells them apart."""

    kind: np.random.Generator
    own: np.random.Generator
    alike: bool

    def colour(self, odds: dict[str, int]) -> np.ndarray:
        """A main colour: the common outfit's, a little off, for look-alikes."""
        drawn = dye.pick(self.kind, odds)
        return dye.near(self.own, drawn, ALIKE) if self.alike else drawn

    def cloth(self, patterns: tuple[str, ...], odds: dict[str, int], plain: float = 0.0) -> Cloth:
        is_plain = self.kind.random() < plain
        kind = "plain" if is_plain else str(self.kind.choice(patterns))
        if self.alike and not is_plain and self.own.random() < 0.5:
            kind = str(self.own.choice(patterns))
        base = self.colour(odds)
        second = dye.contrast(base, dye.pick(self.own, dye.TOP_ODDS))
        third = dye.contrast(second, dye.pick(self.own, dye.BRIGHT_ODDS))
        if kind == "camo":
            base, second, third = (linear(c) for c in dye.CAMOUFLAGE[self.kind.integers(len(dye.CAMOUFLAGE))])
        return Cloth(kind, (base, second, third), int(self.own.integers(2**31)))


def _choose(rng: np.random.Generator, odds: dict[str, int]) -> str:
    weights = np.array(list(odds.values()), float)
    return str(rng.choice(list(odds), p=weights / weights.sum()))


def _between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(rng.uniform(*limits))


def _three(rng: np.random.Generator) -> tuple[float, float, float]:
    a, b, c = rng.random(3)
    return float(a), float(b), float(c)


def _draw_look(rng: np.random.Generator, female: bool, age: str) -> Look:
    tone = linear(dye.SKIN_TONES[rng.choice(6, p=dye.SKIN_ODDS)]) * np.float32(rng.uniform(0.92, 1.06))
    hair = linear(dye.HAIR_TONES[rng.choice(6, p=dye.HAIR_ODDS)]) * np.float32(rng.uniform(0.85, 1.15))
    if age == "elder" or (age == "adult" and rng.random() < 0.07):
        hair = linear(dye.GREYS[rng.integers(3)])
    elif age == "adult" and rng.random() < 0.03:
        hair = dye.pick(rng, {"pink": 1, "blue": 1, "red": 2, "purple": 1})
    odds = dict(shop.HAIR[female])
    if age == "elder":
        odds = {"short": 40, "bob": 30, "bun": 15, "thick": 10} if female else {"short": 40, "bald": 35, "cropped": 25}
    if age == "child":
        odds.pop("bald", None)
    style = _choose(rng, odds)
    beards = {"none": 60, "stubble": 14, "full": 16, "moustache": 4, "goatee": 6}
    lips = tone * np.array([0.85, 0.55, 0.55] if rng.random() < 0.7 else [0.8, 0.35, 0.38], np.float32)
    return Look(
        age=age,
        female=female,
        tone=tone,
        lips=lips,
        hair=hair,
        style=style,
        length=float(rng.random()),
        beard=_choose(rng, beards) if not female and age != "child" else "none",
        glasses=_choose(rng, {"none": 76 if age != "elder" else 45, "glasses": 16, "sunglasses": 5, "mask": 3}),
    )


def _draw_upper(draws: _Draws, season: str, female: bool, suit: bool) -> Garment:
    kind = "shirt" if suit else _choose(draws.kind, shop.TOP_SEASON[season][female])
    cut = shop.TOPS[kind]
    own = draws.own
    odds = {"white": 5, "sky": 2, "silver": 1} if suit else dye.TOP_ODDS
    cloth = draws.cloth(cut.patterns, odds, 0.9 if suit else cut.plain)
    if cut.fixed and cloth.pattern == "plain":
        cloth = replace(cloth, pattern=cut.fixed)
    hem = _between(own, cut.hem)
    if kind in ("shirt", "blouse", "polo", "tank top") and own.random() < (0.95 if suit else 0.35):
        hem = 0.17  # tucked in
    return Garment(
        kind,
        cloth,
        hem,
        ease=_between(own, cut.ease),
        sleeve=1.9 if suit else float(draws.kind.choice(cut.sleeves)),
        neck=_between(own, cut.neck),
        loose=_between(own, (0.004, 0.018)) if hem < 0.15 else 0.0,
        hood="none" if not cut.hood else "up" if own.random() < 0.12 else "down",
        trim=_three(own),
    )


def _draw_outer(draws: _Draws, season: str, suit: bool) -> Garment | None:
    kind = "blazer" if suit else _choose(draws.kind, shop.OUTER_SEASON[season])
    if kind == "none":
        return None
    cut, own = shop.OUTERS[kind], draws.own
    cloth = draws.cloth(cut.patterns, dye.SUIT_ODDS if suit else shop.OUTER_COLOURS[kind])
    if cut.denim:
        shade = linear(dye.DENIM[own.integers(len(dye.DENIM))])
        cloth = replace(cloth, colours=(shade, *cloth.colours[1:]), denim=0.01)
    has_hood = draws.kind.random() < cut.hood
    return Garment(
        kind,
        cloth,
        _between(own, cut.hem),
        ease=_between(own, cut.bulk),
        sleeve=0.16 if cut.sleeveless else 1.9,
        open=bool(own.random() < cut.open),
        hood="none" if not has_hood else "up" if own.random() < 0.15 else "down",
        trim=_three(own),
    )


def _draw_lower(draws: _Draws, season: str, female: bool, suit: Garment | None) -> Garment:
    own = draws.own
    kind = "suit trousers" if suit is not None else _choose(draws.kind, shop.LOWER_SEASON[season][female])
    if kind in shop.TROUSERS:
        cut = shop.TROUSERS[kind]
        is_denim = draws.kind.random() < cut.denim
        cloth = draws.cloth(cut.patterns, dye.LOWER_ODDS)
        if is_denim:
            shade = linear(dye.DENIM[draws.kind.integers(len(dye.DENIM))])
            shade = dye.near(own, shade, ALIKE)
            cloth = replace(cloth, colours=(shade, *cloth.colours[1:]), denim=_between(own, (0.08, 0.55)))
        if suit is not None:
            cloth = suit.cloth
        return Garment(kind, cloth, _between(own, cut.end), trim=_three(own))
    ends = (shop.SKIRTS | shop.DRESSES)[kind][0]
    patterns = ("plaid", "checks", "dots", "floral", "wide stripes", "leopard", "gradient", "batik", "zigzag")
    return Garment(kind, draws.cloth(patterns, dye.SKIRT_ODDS, 0.55), _between(own, ends), trim=_three(own))


def _draw_shoes(rng: np.random.Generator, season: str, suit: bool, lower: Garment) -> dict:
    kind = "leather shoes" if suit else _choose(rng, shop.SHOES[season])
    if kind == "boots" and lower.kind in ("wide", "cargo", "straight", "chinos", "joggers"):
        kind = "ankle boots"
    leather = kind in ("leather shoes", "ankle boots", "boots", "sandals")
    tops = {"boots": (-0.62, -0.42), "ankle boots": (-0.70, -0.66), "sandals": (-0.80, -0.79)}
    bare = lower.hem > -0.7
    socks = None
    with_skirt = lower.kind not in shop.TROUSERS
    tights = with_skirt and rng.random() < {"summer": 0.1, "mild": 0.55, "winter": 0.95}[season]
    if bare and not tights and kind in ("sneakers", "canvas shoes") and rng.random() < 0.7:
        sock = [(225, 225, 225), (225, 225, 225), (40, 40, 44), (120, 122, 126)][rng.integers(4)]
        socks = linear(sock) if rng.random() < 0.85 else dye.pick(rng, dye.BRIGHT_ODDS)
    return dict(
        shoes=kind,
        shoe_colour=dye.pick(rng, dye.LEATHER_ODDS if leather else dye.SHOE_ODDS),
        shoe_top=_between(rng, tops.get(kind, (-0.765, -0.735))),
        white_sole=bool(rng.random() < {"sneakers": 0.75, "canvas shoes": 0.85}.get(kind, 0.0)),
        socks=socks,
        sock_top=_between(rng, (-0.72, -0.66)) if rng.random() < 0.6 else _between(rng, (-0.66, -0.52)),
        tights=dye.pick(rng, dye.TIGHTS_ODDS) if tights else None,
    )


def _draw_extras(rng: np.random.Generator, season: str, look: Look, suit: bool) -> dict:
    headscarf = look.female and look.age != "child" and rng.random() < 0.06
    bag = _choose(rng, shop.BAGS[look.female])
    if look.age == "child":
        bag = "backpack" if rng.random() < 0.5 else "none"
    if suit:
        bag = _choose(rng, {"none": 4, "briefcase": 4, "messenger": 2, "shoulder": 1, "backpack": 1})
    props = {"none": 88, "trolley": 5, "box": 2}
    if look.age == "elder":
        props = {"none": 66, "cane": 24, "shopping trolley": 10}
    elif look.age == "adult":
        props |= {"pram": 4}
    else:
        props = {"none": 1}
    prop = _choose(rng, props)
    if prop != "none" and bag in ("hand", "shopping", "briefcase"):
        bag = "none"
    scarf = rng.random() < {"summer": 0.01, "mild": 0.08, "winter": 0.32}[season]
    hat = "headscarf" if headscarf else _choose(rng, {"none": 9, "brim": 1} if suit else shop.HEADWEAR[season])
    return dict(
        headwear=hat,
        hat_colour=dye.pick(rng, dye.TOP_ODDS),
        scarf=dye.pick(rng, dye.TOP_ODDS | dye.BRIGHT_ODDS) if scarf else None,
        bag=bag,
        bag_colour=dye.pick(rng, dye.SHOPPING_ODDS if bag in ("shopping", "tote") else dye.BAG_ODDS),
        bag_size=_between(rng, (0.85, 1.12)),
        side=int(rng.choice([-1, 1])),
        prop=prop,
        prop_colour=dye.pick(rng, dye.BAG_ODDS | dye.BRIGHT_ODDS),
    )


def draw_outfit(rng: np.random.Generator, female: bool, age: str, likeness: float | int) -> Outfit:
    """Draw an identity's looks and clothes.

    With the probability `likeness` it is a look-alike: season, kinds of garments and main colours are those of one of
    COMMON_OUTFITS common outfits, the colours a little off; patterns' details and half of the patterns, lengths,
    shoes, bags, hair and head-wear are its own.
    """
    alike = bool(rng.random() < likeness)
    common = int(rng.integers(COMMON_OUTFITS))
    kind = np.random.default_rng([20260101, int(female), common]) if alike else rng
    draws = _Draws(kind, rng, alike)
    season = _choose(kind, {"summer": 34, "mild": 36, "winter": 30})
    suit = age == "adult" and bool(kind.random() < (0.03 if female else 0.08))
    look = _draw_look(rng, female, age)
    upper = _draw_upper(draws, season, female, suit)
    outer = _draw_outer(draws, season, suit)
    lower = _draw_lower(draws, season, female, outer if suit else None)
    outfit = Outfit(
        look=look,
        season=season,
        upper=upper,
        lower=lower,
        outer=outer,
        **_draw_shoes(rng, season, suit, lower),
        **_draw_extras(rng, season, look, suit),
    )
    return _consistent(outfit)


def _consistent(outfit: Outfit) -> Outfit:
    """Mend what cannot be worn together: one hood, no long top over a skirt, no hat under a hood that is up."""
    if outfit.skirted and outfit.upper.hem < 0.17:
        outfit = replace(outfit, upper=replace(outfit.upper, hem=0.17, loose=0.0))
    if outfit.dress:
        outfit = replace(outfit, upper=replace(outfit.upper, cloth=outfit.lower.cloth, hood="none"))
    if outfit.outer is not None and outfit.upper.hood == "up":
        outfit = replace(outfit, upper=replace(outfit.upper, hood="down"))
    if outfit.outer is not None and outfit.outer.hood != "none":
        outfit = replace(outfit, upper=replace(outfit.upper, hood="none"))
    if outfit.headwear not in ("none", "cap"):
        upper = replace(outfit.upper, hood="down") if outfit.upper.hood == "up" else outfit.upper
        outer = outfit.outer
        if outer is not None and outer.hood == "up":
            outer = replace(outer, hood="down")
        outfit = replace(outfit, upper=upper, outer=outer)
    return outfit
