"""A child led by the hand: hands meet, feet stand, bodies keep apart, and the truth knows it is somebody else."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from matlib.annyville import child as led_children
from matlib.annyville import shot
from matlib.annyville.behaviour import BOTH_ARMS, draw_pose
from matlib.annyville.camera import CAMERAS
from matlib.annyville.child import draw_led, hold_hands
from matlib.annyville.crowd import CHILDREN, OCCLUDER_KINDS, PASSERS_BY, Town, make_resident, stand
from matlib.annyville.crop import rasterize_mesh
from matlib.annyville.pose import HAND, reach_directions, rz
from matlib.annyville.render import _truth_mask
from matlib.annyville.season import SEASONS
from matlib.annyville.truth import HIDDEN, OCCLUDER
from matlib.annyville.wardrobe.bags import HAND_BAGS


@cache
def _person(key: int):
    return make_resident(key, np.random.default_rng([7, abs(key), key > 0]), 0.5)


def _town() -> Town:
    grey = np.full((72, 128, 4), 120, np.uint8)
    return Town(lambda _: grey, _person, CAMERAS)


@pytest.fixture()
def always(monkeypatch):
    monkeypatch.setattr(led_children, "LEADING", 1.0)


def _pairs(count: int):
    """Grown people and the children that they lead, posed, and the heading."""
    rng, found = np.random.default_rng(0), 0
    while found < count:
        person = _person(1 + int(rng.integers(3)))
        led = draw_led(_town(), person, draw_pose(person, rng), rng)
        if led is not None:
            found += 1
            heading = float(rng.uniform(0, 360))
            posed = stand(person, led.pose, heading, np.array([1.0, 8.0, 0.0]))
            yield person, led, posed, hold_hands(posed, led, heading), heading


def _hand_vertices(person, posed, change: str, side: int) -> np.ndarray:
    worn = person.worn(change)
    bone = person.dresser.body.bone("hand.L" if side > 0 else "hand.R")
    weight = (worn.bone_weight * (worn.bone_index == bone)).sum(1)
    return posed.mesh.points[: posed.own][weight > 0.6]


def test_hands_meet_and_the_child_stands_on_the_ground_beside(always):
    """Hands by the vertices on the hand's bone; the hips stay apart, the child is small and on the wanted side."""
    for person, led, posed, child, heading in _pairs(12):
        hand = _hand_vertices(person, posed, led.pose.change, led.side)
        small = _hand_vertices(led.child, child, "", -led.side)
        assert np.linalg.norm(hand.mean(0) - small.mean(0)) < 0.06
        assert np.linalg.norm(hand[:, None] - small[None], axis=2).min() < 0.02
        assert child.mesh.points[:, 2].min() == pytest.approx(0, abs=1e-3)
        hips, small_hips = (p.keypoints[11:13].mean(0) for p in (posed, child))
        beside = (small_hips - hips) @ rz(heading)
        assert 0.3 < led.side * beside[0] < 0.8 and abs(beside[1]) < 0.45
        assert 0.8 < np.ptp(child.mesh.points[:, 2]) < 1.3 < np.ptp(posed.mesh.points[:, 2])
        wrist, shoulder = (child.keypoints[k + (led.side > 0)] for k in (9, 5))
        assert wrist[2] > shoulder[2] - 0.25 and posed.keypoints[10 - (led.side > 0)][2] < posed.keypoints[5][2] - 0.3


@pytest.mark.parametrize("target", [(0.2, -0.1, -0.4), (0.1, 0.0, 0.3), (0.05, -0.3, 0.1), (0.3, 0.0, -0.9)])
def test_an_arm_reaches_its_target_or_as_far_as_it_can(target):
    """Forward kinematics: elbow and hand from the directions."""
    upper, fore, goal = 0.3, 0.25, np.array(target)
    first, second = reach_directions(upper, fore, goal, 1)
    hand = upper * first + HAND * fore * second / np.linalg.norm(second)
    assert np.linalg.norm(first) == pytest.approx(1)
    reachable = min(1.0, 0.995 * (upper + HAND * fore) / np.linalg.norm(goal))
    np.testing.assert_allclose(hand, reachable * goal, atol=1e-9)


def test_who_has_no_hand_free_or_is_a_child_leads_nobody(always):
    rng = np.random.default_rng(1)
    for key in range(1, 25):
        person = _person(key)
        pose = draw_pose(person, rng)
        led = draw_led(_town(), person, pose, rng)
        if led is None:
            continue
        arm = pose.left_arm if led.side > 0 else pose.right_arm
        assert arm == "swing" and pose.prop == "none" and person.outfit.look.age != "child"
        assert not {pose.left_arm, pose.right_arm} & set(BOTH_ARMS)
        assert person.outfit.bag not in HAND_BAGS or led.side != person.outfit.side
    assert _person(-PASSERS_BY - CHILDREN).outfit.look.age == "child"


def test_what_a_child_hides_counts_as_hidden_and_nothing_of_it_is_the_person(always, monkeypatch):
    """Somebody walks past with a child on the camera's side: it may hide a fifth, and is then the occluder."""
    monkeypatch.setattr(shot, "draw_bystanders", lambda *_: [])
    monkeypatch.setattr(shot, "draw_heading", lambda camera, rng: 90.0)
    monkeypatch.setattr(shot, "OCCLUDER_ODDS", np.array(OCCLUDER_KINDS) == "pole")
    rng, found = np.random.default_rng(0), []
    for k in range(30):
        taken = shot.try_shot(_town(), 1 + k % 3, CAMERAS[0], SEASONS[1], rng, (96, 48), True, False)
        found += [taken] if taken is not None and taken.found.kind == "child" else []
    assert found
    for taken in found:
        child = np.zeros_like(taken.view.whole)
        child[rasterize_mesh(taken.found.hider, taken.view.camera, taken.view.crop).pixels] = True
        mask = _truth_mask(taken, np.full(len(taken.fragments.pixels), 5, np.uint8)).ravel()
        hidden, shown = (mask == HIDDEN).sum(), (mask == 5).sum()
        assert hidden / (hidden + shown) == pytest.approx(taken.found.occlusion) and 0.2 <= taken.found.occlusion <= 0.7
        assert (mask[child & ~taken.view.whole] == OCCLUDER).all() and child[mask == HIDDEN].all()
        assert not any(taken.found.hider is mesh for mesh in taken.bystanders)


def test_whole_people_are_whole_with_a_child_too(always):
    rng = np.random.default_rng(3)
    taken = [shot.try_shot(_town(), 1, CAMERAS[0], SEASONS[1], rng, (96, 48), False, False) for _ in range(12)]
    assert any(t is not None and t.bystanders for t in taken)
    assert all(t.found.kind is None and t.found.occlusion <= 0.05 for t in taken if t is not None)
