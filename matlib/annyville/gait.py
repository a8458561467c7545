"""One person in the phases of a stride, all else the same: what a picture of a walk differs in is the pose alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .background import render_background
from .behaviour import draw_pose
from .camera import spread_cameras
from .crop import draw_box
from .crowd import Town, make_resident, stand
from .render import SUPERSAMPLING, Picture, photograph
from .season import draw_season
from .shot import alone, look_at
from .wardrobe import LIKENESS

_CAMERA = 5  # a shopping street


def walk(phases: Sequence[float], height: int, width: int, *, heading: float = 80.0, seed: int = 0) -> list[Picture]:
    """Pictures of one person before one camera, one for each phase of the stride, in 0..1.

    Place, box, light, noise and clothes are the same in all; nothing is in the way. heading: where the person faces, in
    degrees from the camera's side; 90 walks past. About ten seconds.
    """
    rng = np.random.default_rng(seed)
    camera = spread_cameras(1.0)[_CAMERA]
    person, street = make_resident(1, rng, LIKENESS), render_background(camera, _CAMERA)
    town = Town(lambda _: street, lambda _: person, spread_cameras(1.0))
    at = np.array([0.0, (camera.near + camera.far) / 2, 0.0])
    pose = replace(draw_pose(person, rng, standing=0.0), prop="none", left_arm="swing", right_arm="swing", walking=1.0)
    strides = [stand(person, replace(pose, phase=phase), heading, at) for phase in phases]
    points = np.concatenate([camera.project(posed.mesh.points[:posed.own])[0] for posed in strides])
    box = draw_box(points, round(SUPERSAMPLING * height), round(SUPERSAMPLING * width), rng)
    season = draw_season(person.outfit.season, rng)
    shots = [alone(posed, heading, *look_at(posed, town, camera, season, box, at)) for posed in strides]
    return [photograph(shot, _CAMERA, np.random.default_rng(seed), height, width) for shot in shots]
