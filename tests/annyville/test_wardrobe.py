"""Clothes, looks and habits of persons."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from matlib.annyville.behaviour import draw_pose
from matlib.annyville.body import load_body
from matlib.annyville.camera import CAMERAS
from matlib.annyville.pose import ARMS, Pose
from matlib.annyville.raster import rasterize
from matlib.annyville.wardrobe import CARRIED, make_person
from matlib.annyville.wardrobe.catalogue import DRESSES, OUTERS, SKIRTS, TOPS, TROUSERS
from matlib.annyville.wardrobe.outfit import COMMON_OUTFITS, Cloth, Garment, Outfit, draw_outfit
from matlib.annyville.wardrobe.patterns import PATTERNS, draw_scale, patterned, weave
from matlib.annyville.wardrobe.props import PROPS, prop_mesh
from matlib.annyville.wardrobe.space import arm_coordinate
from matlib.errors import MatlibError

RED, GREEN, BLUE = np.eye(3, dtype=np.float32)
CAMERA = replace(CAMERAS[0], height=1.1, pitch=0.0, roll=0.0)


def _plain(colour: np.ndarray) -> Cloth:
    return Cloth("plain", (colour, colour, colour), 0)


def _outfits(seed: int, count: int, likeness: float) -> list[Outfit]:
    """Outfits of grown women and men in turn."""
    return [draw_outfit(np.random.default_rng([seed, i]), bool(i % 2), "adult", likeness) for i in range(count)]


def _person(seed: int, **worn):
    """A person who wears the given things and nothing else that hides them."""
    person = make_person(np.random.default_rng(seed), likeness=0)
    bare = dict(outer=None, bag="none", scarf=None, headwear="none", prop="none", tights=None, socks=None)
    outfit = replace(person.outfit, **(bare | worn))
    look = replace(outfit.look, tone=RED, hair=RED, lips=RED, style="short")
    return replace(person, outfit=replace(outfit, look=look), _worn={})


def _seen(person, pose: Pose, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """Which of the three pure colours each pixel shows (-1: another), and its place in the mean body (N, 4)."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    mesh = person.posed(pose).mesh.moved(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), np.array([0.0, 5.0, 0.0]))
    xy, depth = CAMERA.project(mesh.points)
    xy = (xy - np.array([640, 360])) * 0.35 + np.array([64, 128])
    found = rasterize(xy, 1 / depth, mesh.faces, 256, 128, clip=mesh.clip, two_sided=mesh.two_sided)
    corners = mesh.faces[found.triangles]
    solid = np.einsum("nc,ncd->nd", found.weights, mesh.solid[corners])
    layer = mesh.face_layer[found.triangles]
    colour = np.zeros((len(solid), 3))
    for i, item in enumerate(mesh.layers):
        mine = layer == i
        colour[mine] = item.material(solid[mine, :3], solid[mine, 3], np.zeros(3, np.float32))
    share = colour.max(1) / (colour.sum(1) + 1e-9)
    return np.where(share > 0.99, colour.argmax(1), -1), solid


POSES = [Pose(1.1, 0.05, "swing", "phone"), Pose(0.0, 0.3, "pocket", "folded"), Pose(0.9, 0.55, "back", "push")]
VIEWS = [0.0, 75.0, 150.0, 260.0]


@pytest.mark.parametrize("kind", TOPS)
def test_no_skin_shows_through_a_top(kind):
    top = Garment(kind, _plain(GREEN), hem=0.05, ease=TOPS[kind].ease[0], sleeve=TOPS[kind].sleeves[0])
    person = _person(3, upper=top, lower=Garment("straight", _plain(BLUE), -0.75))
    for pose, view in zip(POSES, VIEWS, strict=False):
        colour, solid = _seen(person, pose, view)
        trunk = (solid[:, 2] > 0.2) & (solid[:, 2] < 0.45) & (solid[:, 3] < 0)
        assert trunk.sum() > 50
        assert not (colour[trunk] == 0).any()
        assert (colour[trunk] == 1).mean() > 0.8  # the rest are trims


@pytest.mark.parametrize("kind", OUTERS)
def test_nothing_pushes_through_a_closed_jacket(kind):
    cut = OUTERS[kind]
    under = Garment("t-shirt", _plain(BLUE), hem=0.05, ease=0.016, sleeve=0.6, loose=0.018)
    over = Garment(kind, _plain(GREEN), cut.hem[1], ease=cut.bulk[0], sleeve=0.16 if cut.sleeveless else 1.9)
    person = _person(5, upper=under, outer=over, lower=Garment("straight", _plain(RED), -0.75))
    for pose, view in zip(POSES, VIEWS, strict=False):
        colour, solid = _seen(person, pose, view)
        opening = (np.abs(solid[:, 0]) < 0.09) & (solid[:, 1] < 0)  # lapels and a cardigan's V show the shirt
        trunk = (solid[:, 2] > 0.25) & (solid[:, 2] < 0.5) & (solid[:, 3] < 0) & ~opening
        assert trunk.sum() > 40
        assert ((colour[trunk] == 0) | (colour[trunk] == 2)).mean() < 0.02


@pytest.mark.parametrize("kind", [*TROUSERS, *SKIRTS, *DRESSES])
def test_legs_are_bare_below_the_hem_only(kind):
    ends = TROUSERS[kind].end if kind in TROUSERS else (SKIRTS | DRESSES)[kind][0]
    lower = Garment(kind, _plain(GREEN), ends[1], trim=(0.9, 0.5, 0.9))
    upper = Garment("t-shirt", _plain(BLUE), hem=0.17 if kind not in TROUSERS else 0.05, ease=0.01, sleeve=0.6)
    person = _person(8, lower=lower, upper=upper, shoe_colour=BLUE, white_sole=False, shoes="sneakers")
    for pose, view in zip(POSES, VIEWS, strict=False):
        colour, solid = _seen(person, pose, view)
        leg = (solid[:, 3] < 0) & (solid[:, 2] < 0.0)
        skin = leg & (colour == 0)
        assert (solid[skin, 2] < lower.hem + 0.07).all()
        if lower.hem > -0.45:
            assert skin.sum() > 20


@pytest.mark.parametrize("kind", PATTERNS)
def test_patterns_mix_their_colours_and_nothing_else(kind):
    body = load_body()
    ids = np.unique(body.faces["tights"])
    points, u = body.canonical[ids], arm_coordinate()[ids]
    for seed in (1, 2):
        for share in PATTERNS[kind](weave(points, u), draw_scale(seed)):
            assert share is None or (np.isfinite(share).all() and share.min() >= 0 and share.max() <= 1)
    cloth = patterned(kind, (0.5 * RED, GREEN, BLUE), 7)
    seen = cloth(points, u, np.zeros(3, np.float32))
    np.testing.assert_array_equal(seen, cloth(points, u, np.zeros(3, np.float32)))
    if kind != "plain":
        assert seen.std(0).max() > 0.02  # there is a pattern


@pytest.mark.parametrize("seed", range(12))
def test_colours_are_those_of_things(seed):
    """Nothing throws back more light than it gets, and little is pitch black."""
    mesh = make_person(np.random.default_rng([30, seed])).mesh
    for i, layer in enumerate(mesh.layers):
        solid = mesh.solid[np.unique(mesh.faces[mesh.face_layer == i])]
        albedo = layer.material(solid[:, :3], solid[:, 3], np.ones(3, np.float32))
        assert albedo.shape == (len(solid), 3)
        assert np.isfinite(albedo).all() and albedo.min() >= 0 and albedo.max() < 1.1


def test_dark_and_dull_colours_are_common():
    outfits = _outfits(31, 150, 0.0)
    colours = np.array([g.cloth.colours[0] for o in outfits for g in (o.upper, o.lower, o.outer) if g is not None])
    strength = (colours.max(1) - colours.min(1)) / colours.max(1)
    assert 0.3 < (colours.mean(1) < 0.06).mean() < 0.75
    assert ((strength > 0.7) & (colours.max(1) > 0.3)).mean() < 0.12
    assert len({o.upper.kind for o in outfits}) >= 8 and len({o.lower.kind for o in outfits}) >= 12
    assert len({o.look.style for o in outfits}) >= 11


def _nearest(likeness: float) -> float:
    """Mean over identities of the colour distance (top, bottom) to the most alike other one."""
    outfits = _outfits(32, 120, likeness)
    rows = np.array([np.concatenate([g.cloth.colours[0] for g in (o.outer or o.upper, o.lower)]) for o in outfits])
    gap = np.linalg.norm(rows[:, None] ** 0.45 - rows[None] ** 0.45, axis=2)
    np.fill_diagonal(gap, np.inf)
    return float(gap.min(1).mean())


def test_more_likeness_brings_identities_closer_in_colour():
    gaps = [_nearest(likeness) for likeness in (0.0, 0.5, 1.0)]
    assert gaps[0] > 1.1 * gaps[1] > 1.2 * gaps[2]


def test_look_alikes_share_garments_but_not_details():
    adults = _outfits(33, 100, 1.0)
    kinds = Counter((o.look.female, o.upper.kind, o.lower.kind, o.outer and o.outer.kind) for o in adults)
    assert len(kinds) <= 2 * COMMON_OUTFITS and kinds.most_common(1)[0][1] >= 3
    assert len({o.upper.cloth.seed for o in adults}) == len(adults)
    assert len({(o.shoes, o.bag, o.look.style, o.headwear) for o in adults}) > len(adults) / 3


@pytest.mark.parametrize("likeness", [-0.1, 1.5, float("nan")])
def test_likeness_out_of_range_is_refused(likeness):
    with pytest.raises(MatlibError, match="likeness"):
        make_person(np.random.default_rng(0), likeness=likeness)


def test_clothes_worn_otherwise_are_the_same_clothes():
    tried = Counter()
    for outfit in _outfits(34, 80, 0.3):
        assert outfit.changed("") is outfit
        for change in outfit.changes():
            other = outfit.changed(change)
            assert other != outfit
            assert other.changed(change) == outfit
            for mine, its in ((outfit.upper, other.upper), (outfit.lower, other.lower), (outfit.outer, other.outer)):
                assert (mine is None) == (its is None)
                assert mine is None or (mine.kind == its.kind and mine.cloth is its.cloth)
            tried[change] += 1
    assert min(tried[c] for c in ("front", "hood", "side")) >= 3


def test_what_was_asked_for_first_does_not_matter():
    """A change made first leaves no trace in the clothes as usual."""
    once, twice = (_person(7, outer=Garment("jacket", _plain(GREEN), 0.05, 0.015, 1.9)) for _ in range(2))
    change = "front"
    changed = once.worn(change).mesh
    assert changed.points.shape != once.mesh.points.shape or not np.array_equal(changed.clip, once.mesh.clip)
    np.testing.assert_array_equal(once.mesh.points, twice.mesh.points)


@pytest.mark.parametrize("kind", [p for p in PROPS if p != "none"])
def test_props_stand_on_the_ground_or_in_the_hands(kind):
    person = _person(2, prop=kind)
    arm = {"pram": "push", "box": "carry", "cane": "cane"}.get(kind, "trolley")
    posed = person.posed(Pose(0.8, 0.2, arm, arm, prop=kind))
    mesh = prop_mesh(kind, posed.keypoints, person.outfit.side, RED, person.outfit.bag_size)
    assert len(posed.mesh.points) == posed.own + len(mesh.points)
    np.testing.assert_array_equal(posed.mesh.points[posed.own :], mesh.points)
    assert {layer.part for layer in mesh.layers} == {CARRIED}
    hand = posed.keypoints[9 if person.outfit.side > 0 else 10]
    assert np.linalg.norm(mesh.points - hand, axis=1).min() < 0.25
    if kind == "box":
        assert mesh.points[:, 2].min() > 0.5
    else:
        assert -0.02 < mesh.points[:, 2].min() < 0.06


def test_children_are_small_with_large_heads():
    people = [make_person(np.random.default_rng([35, i])) for i in range(60)]
    nose_to_top = {"child": [], "adult": []}
    for person in people:
        height = np.ptp(person.dresser.rest[:, 2])
        age = person.outfit.look.age
        assert (0.9 < height < 1.62) if age == "child" else (1.4 < height < 2.05)
        if age in nose_to_top:
            nose_to_top[age].append((person.dresser.rest[:, 2].max() - person.keypoints[0, 2]) / height)
    assert np.mean(nose_to_top["child"]) > 1.15 * np.mean(nose_to_top["adult"])


def test_behaviour_suits_the_person():
    seen = Counter()
    for i in range(60):
        rng = np.random.default_rng([36, i])
        person = make_person(rng)
        for _ in range(6):
            pose = draw_pose(person, rng)
            assert {pose.left_arm, pose.right_arm} <= set(ARMS)
            assert pose.change == "" or pose.change in person.outfit.changes()
            assert pose.prop in ("none", person.outfit.prop)
            if pose.prop in ("pram", "box"):
                assert pose.left_arm == pose.right_arm != "swing"
            seen.update({pose.left_arm, pose.right_arm})
    assert set(ARMS) - set(seen) <= {"push", "cane", "trolley", "hang", "reach"}  # reach: only who leads a child
