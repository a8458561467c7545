"""What is in a set: presets, protocols, and the list of pictures with their names and seeds, before any is
rendered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matlib.errors import MatlibError

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
SPLITS = (TRAIN, QUERY, GALLERY)
PROTOCOLS = ("holistic", "occluded")
STREAMS = {"holistic": 1, "occluded": 2}  # a protocol's place in the seeds: never change, never reuse
DISTRACTOR, JUNK = 0, -1


@dataclass(frozen=True)
class Preset:
    """Sizes of a set: identities, pictures of each, strangers (distractors, each in one picture), junk boxes,
    cameras, pixels, and the size of the cameras' empty views against the full frame."""

    train_identities: int
    test_identities: int
    train_pictures: int
    queries: int
    gallery_pictures: int
    strangers: int
    junk: int
    cameras: int
    height: int
    width: int
    background_scale: float


PRESETS = {
    "tiny": Preset(8, 8, 3, 1, 3, 8, 4, 3, 128, 64, 0.4),
    "small": Preset(80, 80, 10, 2, 6, 120, 24, 8, 256, 128, 0.75),
    "large": Preset(500, 500, 16, 2, 18, 1800, 200, 8, 256, 128, 1.0),
}


@dataclass(frozen=True)
class Item:
    """One picture to make. person: key of the person (see `person_seed`); k: running number in its seed."""

    split: str
    name: str
    identity: int
    person: int
    camera: int
    k: int
    occluded: bool
    bad_box: bool = False

    @property
    def stem(self) -> str:
        """File name without its ending."""
        return self.name.removesuffix(".jpg")


def check_preset(preset: str) -> Preset:
    """The preset of that name; raises MatlibError for an unknown one."""
    if preset not in PRESETS:
        raise MatlibError(f"unknown preset {preset!r}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[preset]


def check_protocol(protocol: str) -> str:
    """The protocol's name; raises MatlibError for one that Annyville does not have."""
    if protocol not in PROTOCOLS:
        raise MatlibError(f"unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}.")
    return protocol


def person_seed(seed: int, protocol: str, person: int) -> list[int]:
    """Seed of a person: identities are positive, strangers are 1,000,000 and up, passers-by negative."""
    population = 0 if person > 0 else 1
    return [seed, STREAMS[protocol], 10, population, abs(person)]


def picture_seed(seed: int, protocol: str, item: Item) -> list[int]:
    """Seed of a picture: it depends on nothing but who, where and which."""
    return [seed, STREAMS[protocol], 20, item.person, item.camera, item.k]


def market_name(identity: int, camera: int, frame: int, box: int) -> str:
    """Market-1501's file name: identity, camera, sequence, frame, box."""
    label = "-1" if identity == JUNK else f"{identity:04d}"
    return f"{label}_c{camera + 1}s{1 + frame % 6}_{frame:06d}_{box:02d}.jpg"


def duke_name(identity: int, camera: int, frame: int) -> str:
    """DukeMTMC-reID's (and Occluded-Duke's) file name: identity, camera, frame."""
    return f"{identity:04d}_c{camera + 1}_f{frame:07d}.jpg"


class _Namer:
    """Frame numbers that rise with the pictures of a camera, as recorded video's would; never the same
    twice."""

    def __init__(self, protocol: str, rng: np.random.Generator) -> None:
        self.protocol, self.rng = protocol, rng
        self.used: set[str] = set()

    def __call__(self, identity: int, camera: int, box: int) -> str:
        while True:
            frame = int(self.rng.integers(100, 160_000))
            if self.protocol == "occluded":
                name = duke_name(identity, camera, frame)
            else:
                name = market_name(identity, camera, frame, box)
            if name not in self.used:
                self.used.add(name)
                return name


def plan_items(protocol: str, preset: Preset, seed: int) -> list[Item]:
    """Every picture of a set, in a fixed order.

    Training and test identities are disjoint; an identity is seen by up to six cameras, each query's identity
    also by other cameras in the gallery. Occluded: every query, one gallery picture in ten, 15 % of training.
    Strangers are distractors: identity 0000 in Market-1501's naming, single-picture identities in
    Occluded-Duke's. Junk (bad boxes, identity -1) exists in Market-1501's naming only; the occluded protocol
    gets strangers instead.
    """
    rng = np.random.default_rng([seed, STREAMS[protocol], 0])
    name = _Namer(protocol, rng)
    market = protocol == "holistic"
    items: list[Item] = []
    taken: dict[tuple[int, int], int] = {}

    def add(
        split: str, identity: int, person: int, camera: int, occluded: bool, bad_box: bool = False
    ) -> None:
        k = taken.get((person, camera), 0)
        taken[person, camera] = k + 1
        box = 0 if split == QUERY else int(rng.integers(1, 7))
        items.append(
            Item(
                split,
                name(identity, camera, box),
                identity,
                person,
                camera,
                k,
                occluded and not market,
                bad_box,
            )
        )

    def cameras_of(pictures: int, most: int) -> np.ndarray:
        chosen = rng.permutation(preset.cameras)[: min(most, preset.cameras)]
        return chosen[np.arange(pictures) % len(chosen)]

    def some(count: int, share: float) -> np.ndarray:
        """Exactly the rounded share of `count` places, drawn at random."""
        return rng.permutation(count) < round(share * count)

    first_test = preset.train_identities + 1
    occluded = some(preset.train_identities * preset.train_pictures, 0.15)
    for identity in range(1, first_test):
        for i, camera in enumerate(cameras_of(preset.train_pictures, 6)):
            place = (identity - 1) * preset.train_pictures + i
            add(TRAIN, identity, identity, int(camera), bool(occluded[place]))
    test = range(first_test, first_test + preset.test_identities)
    outsiders = preset.strangers + (0 if market else preset.junk)
    occluded = some(preset.test_identities * preset.gallery_pictures + outsiders, 0.10)
    place = 0
    for identity in test:
        cameras = cameras_of(preset.gallery_pictures, 5)
        for camera in cameras[: preset.queries]:
            add(QUERY, identity, identity, int(camera), True)
        for camera in cameras:
            add(GALLERY, identity, identity, int(camera), bool(occluded[place]))
            place += 1
    for i in range(outsiders):
        identity = DISTRACTOR if market else first_test + preset.test_identities + i
        add(GALLERY, identity, 1_000_000 + i, int(rng.integers(preset.cameras)), bool(occluded[place]))
        place += 1
    if market:
        for i in range(preset.junk):
            add(GALLERY, JUNK, 2_000_000 + i, int(rng.integers(preset.cameras)), False, bad_box=True)
    return items
