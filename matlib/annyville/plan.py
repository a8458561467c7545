"""What is in a set: presets, protocols, and the list of pictures with their names and seeds, before any is
rendered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from matlib.errors import MatlibError

DISTRACTOR, JUNK = 0, -1
GALLERY_OCCLUDED, TRAIN_OCCLUDED = 0.10, 0.15  # shares of the pictures of annyville-occluded


@dataclass(frozen=True)
class Protocol:
    """A twin of a real set.

    stream: its place in the seeds (never change, never reuse). twin: the real set, whose folder layout and
    file names it has. train, query, gallery: folders of the splits; train is None where models are trained on
    annyville-holistic. more: folders that the twin has besides. cameras: the most that it may have.
    """

    stream: int
    twin: str
    query: str
    gallery: str
    train: str | None = None
    more: tuple[str, ...] = ()
    cameras: int = 8

    @property
    def splits(self) -> tuple[str, ...]:
        """All folders of images."""
        return (*((self.train,) if self.train else ()), self.query, self.gallery, *self.more)


PROTOCOLS = {
    "holistic": Protocol(1, "Market-1501", "query", "bounding_box_test", "bounding_box_train", cameras=6),
    "occluded": Protocol(2, "Occluded-Duke", "query", "bounding_box_test", "bounding_box_train"),
    "occluded-pairs": Protocol(3, "Occluded-REID", "occluded_body_images", "whole_body_images"),
    "partial-pairs": Protocol(
        4, "Partial-REID", "partial_body_images", "whole_body_images", more=("occluded_body_images",)
    ),
    "partial-single": Protocol(
        5, "Partial-iLIDS", "Probe", "Gallery", more=("partial_iLIDS_Probe_nocrop",)
    ),
}
PAIRED = 5  # pictures of an identity on each side of Occluded-REID and Partial-REID


@dataclass(frozen=True)
class Preset:
    """Sizes of a set.

    Of the sets with training images: identities, pictures of each, strangers (distractors, each in one
    picture), junk boxes. Of the others: identities. Of all: cameras, pixels, and the size of the cameras'
    empty views against the full frame.
    """

    train_identities: int
    test_identities: int
    train_pictures: int
    queries: int
    gallery_pictures: int
    strangers: int
    junk: int
    occluded_pairs: int
    partial_pairs: int
    partial_single: int
    cameras: int
    height: int
    width: int
    background_scale: float


PRESETS = {
    "tiny": Preset(8, 8, 3, 1, 3, 8, 4, 3, 3, 8, 3, 128, 64, 0.4),
    "small": Preset(80, 80, 10, 2, 6, 120, 24, 80, 60, 119, 8, 256, 128, 0.75),
    "large": Preset(500, 500, 16, 2, 18, 1800, 200, 200, 60, 119, 8, 256, 128, 1.0),
}


@dataclass(frozen=True)
class Item:
    """One picture to render.

    split: folder; name: path below it. person: key of the person (see `person_seed`); k: running number in
    its seed. partial: split and name of a second file, which gets the part of the picture that a partial set
    keeps (`matlib.annyville.partial`).
    """

    split: str
    name: str
    identity: int
    person: int
    camera: int
    k: int
    occluded: bool = False
    bad_box: bool = False
    partial: tuple[str, str] | None = None

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """Split and name of every file that the picture gives."""
        return ((self.split, self.name), *((self.partial,) if self.partial else ()))


def stem(name: str) -> str:
    """File name, without folders and ending, of an image; unique in its split."""
    return PurePosixPath(name).stem


def check_preset(preset: str) -> Preset:
    """The preset of that name; raises MatlibError for an unknown one."""
    if preset not in PRESETS:
        raise MatlibError(f"unknown preset {preset!r}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[preset]


def check_protocol(protocol: str) -> Protocol:
    """The protocol of that name; raises MatlibError for one that Annyville does not have."""
    if protocol not in PROTOCOLS:
        raise MatlibError(f"unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[protocol]


def person_seed(seed: int, protocol: str, person: int) -> list[int]:
    """Seed of a person: identities are positive, strangers are 1,000,000 and up, passers-by negative.

    No two protocols share a person: identity 7 of annyville-partial-pairs is nobody who trains on
    annyville-holistic.
    """
    population = 0 if person > 0 else 1
    return [seed, PROTOCOLS[protocol].stream, 10, population, abs(person)]


def picture_seed(seed: int, protocol: str, item: Item) -> list[int]:
    """Seed of a picture: it depends on nothing but who, where and which."""
    return [seed, PROTOCOLS[protocol].stream, 20, item.person, item.camera, item.k]


def plan_items(protocol: str, preset: Preset, seed: int) -> list[Item]:
    """Every picture of a set, in a fixed order; it depends on the arguments alone."""
    plan = _Plan(protocol, preset, seed)
    if PROTOCOLS[protocol].train:
        return _with_training(plan)
    if protocol == "partial-single":
        return _singles(plan)
    return _pairs(plan)


class _Plan:
    """The pictures so far, and the draws that all plans make."""

    def __init__(self, protocol: str, preset: Preset, seed: int) -> None:
        self.name, self.protocol, self.preset = protocol, PROTOCOLS[protocol], preset
        self.rng = np.random.default_rng([seed, self.protocol.stream, 0])
        self.cameras = min(preset.cameras, self.protocol.cameras)
        self.items: list[Item] = []
        self.taken: dict[tuple[int, int], int] = {}
        self.names: set[str] = set()

    def add(self, split: str, name: str, identity: int, person: int, camera: int, **what: Any) -> None:
        k = self.taken.get((person, camera), 0)
        self.taken[person, camera] = k + 1
        self.items.append(Item(split, name, identity, person, camera, k, **what))

    def add_frame(self, split: str, identity: int, person: int, camera: int, **what: Any) -> None:
        """Add a picture under the next name of recorded video, never the same twice: in Market-1501's way identity,
        camera, sequence, frame, box; in DukeMTMC-reID's identity, camera, frame."""
        box = 0 if split == self.protocol.query else int(self.rng.integers(1, 7))
        label, name = "-1" if identity == JUNK else f"{identity:04}", None
        while name is None or name in self.names:
            frame = int(self.rng.integers(100, 160_000))
            if self.name == "holistic":
                name = f"{label}_c{camera + 1}s{1 + frame % 6}_{frame:06}_{box:02}.jpg"
            else:
                name = f"{label}_c{camera + 1}_f{frame:07}.jpg"
        self.names.add(name)
        self.add(split, name, identity, person, camera, **what)

    def some(self, count: int, share: float) -> list[bool]:
        """Exactly the rounded share of `count` places, drawn at random."""
        return (self.rng.permutation(count) < round(share * count)).tolist()

    def camera_order(self) -> list[int]:
        return self.rng.permutation(self.cameras).tolist()


def _repeated(cameras: Sequence[int], pictures: int) -> list[int]:
    return [cameras[i % len(cameras)] for i in range(pictures)]


def _with_training(plan: _Plan) -> list[Item]:
    """Market-1501's and Occluded-Duke's plan.

    Training and test identities are disjoint; an identity is seen by up to six cameras, each query's identity
    also by other cameras in the gallery. Occluded: every query, one gallery picture in ten, 15 % of training.
    Strangers are distractors: identity 0000 in Market-1501's naming, single-picture identities in
    Occluded-Duke's. Junk (bad boxes, identity -1) exists in Market-1501's naming only; the occluded protocol
    gets strangers instead.
    """
    preset, protocol = plan.preset, plan.protocol
    market = plan.name == "holistic"
    first_test = preset.train_identities + 1
    after_test = first_test + preset.test_identities
    train_share, gallery_share = (0.0, 0.0) if market else (TRAIN_OCCLUDED, GALLERY_OCCLUDED)
    hide = iter(plan.some(preset.train_identities * preset.train_pictures, train_share))
    for identity in range(1, first_test):
        for camera in _repeated(plan.camera_order()[:6], preset.train_pictures):
            plan.add_frame(protocol.train, identity, identity, camera, occluded=next(hide))
    strangers = preset.strangers + (0 if market else preset.junk)
    hide = iter(plan.some(preset.test_identities * preset.gallery_pictures + strangers, gallery_share))
    for identity in range(first_test, after_test):
        cameras = _repeated(plan.camera_order()[:5], preset.gallery_pictures)
        for camera in cameras[: preset.queries]:
            plan.add_frame(protocol.query, identity, identity, camera, occluded=not market)
        for camera in cameras:
            plan.add_frame(protocol.gallery, identity, identity, camera, occluded=next(hide))
    for i in range(strangers):
        identity = DISTRACTOR if market else after_test + i
        camera = int(plan.rng.integers(plan.cameras))
        plan.add_frame(protocol.gallery, identity, 1_000_000 + i, camera, occluded=next(hide))
    for i in range(preset.junk if market else 0):
        camera = int(plan.rng.integers(plan.cameras))
        plan.add_frame(protocol.gallery, JUNK, 2_000_000 + i, camera, bad_box=True)
    return plan.items


def _sides(plan: _Plan) -> tuple[list[int], list[int]]:
    """Cameras of an identity's queries and of its gallery: none in both, as the twins have no camera labels by
    which an evaluation could leave out pairs of one camera."""
    order = plan.camera_order()
    half = len(order) // 2
    return order[:half], order[half:]


def _pairs(plan: _Plan) -> list[Item]:
    """Occluded-REID's and Partial-REID's plan: five occluded pictures of an identity, and five whole ones.

    In Partial-REID's, each occluded picture also gives a partial one of the same name.
    """
    partial = plan.name == "partial-pairs"
    identities = plan.preset.partial_pairs if partial else plan.preset.occluded_pairs
    for identity in range(1, identities + 1):
        occluded, whole = _sides(plan)
        for i, (one, other) in enumerate(zip(_repeated(occluded, PAIRED), _repeated(whole, PAIRED)), start=1):
            name = f"{identity:03}_{i:03}.jpg" if partial else f"{identity:03}/{identity:03}_{i:02}.tif"
            cut = (plan.protocol.query, name) if partial else None
            plan.add("occluded_body_images", name, identity, identity, one, occluded=True, partial=cut)
            plan.add("whole_body_images", name, identity, identity, other)
    return plan.items


def _singles(plan: _Plan) -> list[Item]:
    """Partial-iLIDS's plan: of each identity an occluded picture, its partial one, and a whole picture."""
    (uncut,) = plan.protocol.more
    for identity in range(1, plan.preset.partial_single + 1):
        probe, gallery = (cameras[0] for cameras in _sides(plan))
        cut = (plan.protocol.query, f"{identity}.jpg")
        plan.add(uncut, f"{identity:03}.jpg", identity, identity, probe, occluded=True, partial=cut)
        plan.add(plan.protocol.gallery, f"{identity}.jpg", identity, identity, gallery)
    return plan.items


def count_files(items: Iterable[Item], splits: Sequence[str]) -> dict[str, int]:
    """How many image files each split gets."""
    files = Counter(split for item in items for split, _ in item.files)
    return {split: files[split] for split in splits}


def summary(protocol: str, preset: str) -> dict[str, Any]:
    """What a set holds, for tables: it is counted from the plan, nothing is rendered.

    Keys: ``protocol``, ``preset``, ``twin``, ``trained on`` (a set's name), ``image`` (height x width of the
    uncut pictures), ``images`` (all files), and for each of ``train``, ``query`` and ``gallery`` (train is left
    out where there is none) a dict of ``folder``, ``images``, ``identities`` (true ones: distractors and junk
    are not), ``cameras``, ``occluded`` (share of the images that have an occluder), ``distractors`` (images of
    people who match no query) and ``junk``. Raises MatlibError for an unknown name.
    """
    kind, sizes = check_protocol(protocol), check_preset(preset)
    files: dict[str, list[Item]] = {split: [] for split in kind.splits}
    for item in plan_items(protocol, sizes, 0):
        for split, _ in item.files:
            files[split].append(item)
    searched = {item.identity for item in files[kind.query]}
    table: dict[str, Any] = {
        "protocol": f"annyville-{protocol}",
        "preset": preset,
        "twin": kind.twin,
        "trained on": f"annyville-{protocol if kind.train else 'holistic'}",
        "image": f"{sizes.height} x {sizes.width}",
        "images": sum(map(len, files.values())),
    }
    for role, folder in {"train": kind.train, "query": kind.query, "gallery": kind.gallery}.items():
        if folder is None:
            continue
        mine = files[folder]
        known = [i.identity for i in mine if role == "train" or i.identity in searched]
        junk = sum(i.identity == JUNK for i in mine)
        table[role] = {
            "folder": folder,
            "images": len(mine),
            "identities": len(set(known)),
            "cameras": len({i.camera for i in mine}),
            "occluded": sum(i.occluded for i in mine) / len(mine),
            "distractors": len(mine) - len(known) - junk,
            "junk": junk,
        }
    return table
