"""Writing a set: workers, atomic files, resuming after an interruption, truth and manifest.

A set is a folder `annyville-<protocol>`; the manifest `annyville-<protocol>.json` beside it is written last,
so a folder with a manifest is complete. While it is being written the folder holds `.unfinished/`: the
settings, and one record a picture.
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
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from matlib.errors import MatlibError

from .background import render_background
from .camera import CAMERAS
from .plan import SPLITS, Item, check_preset, check_protocol, person_seed, picture_seed, plan_items
from .render import Town, render_picture
from .wardrobe import make_person

VERSION = "1"  # of the generator: raise it whenever the same seed gives other bytes
LICENCE = (
    "Rendered by matlib's Annyville (Apache-2.0) from MakeHuman body data (CC0-1.0); no real person is shown."
)
PERSONS_KEPT = 160
CHUNK = 12
log = logging.getLogger(__name__)


def generate(
    protocol: str, preset: str = "small", seed: int = 0, out: Path | str = "data", workers: int | None = None
) -> Path:
    """Write one protocol's set under `out` and return its folder; a finished one is returned as it is.

    protocol: a name from PROTOCOLS; preset: one from PRESETS; seed: non-negative; workers: processes
    (default: one a CPU; 1 renders in this process). An interrupted set goes on where it stopped; its bytes
    depend only on protocol, preset, seed and the versions of this package, numpy and Pillow. Raises
    MatlibError for bad arguments, for a folder that holds something else, and where the disk refuses.
    """
    check_protocol(protocol)
    sizes = check_preset(preset)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise MatlibError(f"the seed must be a whole number from 0 up, not {seed!r}.")
    workers = workers if workers is not None else os.cpu_count() or 1
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise MatlibError(f"the number of workers must be at least 1, not {workers!r}.")
    out = Path(out)
    folder = out / f"annyville-{protocol}"
    settings = {"generator": f"annyville {VERSION}", "protocol": protocol, "preset": preset, "seed": seed}
    try:
        if _finished(folder, settings):
            log.info("%s is complete: nothing to do", folder)
            return folder
        items = plan_items(protocol, sizes, seed)
        missing = _prepare(folder, settings, items)
        _render_all(folder, protocol, preset, seed, missing, len(items), workers)
        _finish(folder, settings, items, (sizes.height, sizes.width))
    except OSError as error:
        where = error.filename or folder
        raise MatlibError(
            f"cannot write {where}: {error.strerror or error}; free some space or choose another --out."
        ) from error
    return folder


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


def _finished(folder: Path, settings: dict[str, Any]) -> bool:
    if not manifest_path(folder).exists():
        return False
    manifest = read_manifest(folder)
    found = {key: manifest[key] for key in settings}
    if found != settings:
        raise MatlibError(_other_settings(folder, found, settings))
    counts = {split: sum(1 for _ in (folder / split).glob("*.jpg")) for split in SPLITS}
    if counts != manifest["counts"]:
        raise MatlibError(
            f"{folder} has lost or gained pictures: delete it and {manifest_path(folder).name}."
        )
    shutil.rmtree(folder / ".unfinished", ignore_errors=True)
    return True


def _other_settings(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> str:
    def words(s: dict[str, Any]) -> str:
        return f"{s.get('generator')}, preset {s.get('preset')}, seed {s.get('seed')}"

    return (
        f"{folder} holds another set ({words(found)}; wanted: {words(wanted)}): "
        f"choose another --out, or delete it and {manifest_path(folder).name}."
    )


def _prepare(folder: Path, settings: dict[str, Any], items: list[Item]) -> list[Item]:
    """Make or recognise the unfinished folder; the pictures that are still missing."""
    note = folder / ".unfinished" / "settings.json"
    if note.exists():
        try:
            found = json.loads(note.read_text())
        except ValueError as error:
            raise MatlibError(
                f"the unfinished set {folder} is damaged: delete it and start again."
            ) from error
        if found != settings:
            raise MatlibError(_other_settings(folder, found, settings))
    elif folder.exists() and any(p.name != ".unfinished" for p in folder.iterdir()):
        raise MatlibError(
            f"{folder} exists and was not written by Annyville: choose another --out or delete it."
        )
    for split in SPLITS:
        (folder / split).mkdir(parents=True, exist_ok=True)
        (folder / "truth" / split).mkdir(parents=True, exist_ok=True)
        (folder / ".unfinished" / split).mkdir(parents=True, exist_ok=True)
    for stray in folder.rglob(".*.part"):  # left by a process that was killed while it wrote
        stray.unlink()
    write_atomically(note, json.dumps(settings).encode())
    return [
        i for i in items if not ((folder / i.split / i.name).exists() and _record_path(folder, i).exists())
    ]


def _record_path(folder: Path, item: Item) -> Path:
    return folder / ".unfinished" / item.split / f"{item.stem}.json"


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

    def __init__(self, folder: Path, protocol: str, preset: str, seed: int) -> None:
        self.folder, self.protocol, self.seed = folder, protocol, seed
        self.preset = check_preset(preset)
        self.persons: OrderedDict[int, Any] = OrderedDict()
        self.town = Town(self.background, self.person, CAMERAS[: self.preset.cameras])

    def background(self, camera: int) -> np.ndarray:
        return np.load(_background_path(self.folder, camera), mmap_mode="r")

    def person(self, key: int) -> Any:
        if key not in self.persons:
            self.persons[key] = make_person(np.random.default_rng(person_seed(self.seed, self.protocol, key)))
            if len(self.persons) > PERSONS_KEPT:
                self.persons.popitem(last=False)
        self.persons.move_to_end(key)
        return self.persons[key]

    def write(self, item: Item) -> None:
        rng = np.random.default_rng(picture_seed(self.seed, self.protocol, item))
        picture = render_picture(
            self.town,
            item.person,
            item.camera,
            rng,
            self.preset.height,
            self.preset.width,
            occluded=item.occluded,
            bad_box=item.bad_box,
        )
        record = {
            "keypoints": [[round(x, 1), round(y, 1), int(v)] for x, y, v in picture.keypoints.tolist()],
            "occlusion": round(picture.occlusion, 4),
            "occluder": picture.occluder,
            "yaw": round(picture.yaw, 1),
            "box": [round(v, 1) for v in picture.box],
        }
        stream = BytesIO()
        Image.fromarray(picture.mask).save(stream, "PNG", optimize=False, compress_level=6)
        write_atomically(self.folder / "truth" / item.split / f"{item.stem}.png", stream.getvalue())
        write_atomically(_record_path(self.folder, item), json.dumps(record).encode())
        write_atomically(self.folder / item.split / item.name, picture.jpeg)


def _start_worker(folder: Path, protocol: str, preset: str, seed: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    global _state
    _state = _Worker(folder, protocol, preset, seed)


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


def _write_background(folder: Path, camera: int, scale: float) -> None:
    """Render a camera's empty view for all workers, unless an interrupted run has left it."""
    path = _background_path(folder, camera)
    if not path.exists():
        stream = BytesIO()
        np.save(stream, render_background(CAMERAS[camera], camera, scale))
        write_atomically(path, stream.getvalue())


def _render_all(
    folder: Path, protocol: str, preset: str, seed: int, items: list[Item], total: int, workers: int
) -> None:
    if not items:
        return
    sizes = check_preset(preset)
    cameras = sorted({i.camera for i in items})
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
    state = (folder, protocol, preset, seed)
    with bar:
        if workers == 1:
            for camera in cameras:
                _write_background(folder, camera, sizes.background_scale)
            worker = _Worker(*state)
            for item in items:
                worker.write(item)
                bar.update()
            return
        _in_parallel(state, sizes.background_scale, cameras, items, workers, bar)


def _in_parallel(
    state: tuple, scale: float, cameras: list[int], items: list[Item], workers: int, bar: tqdm
) -> None:
    threads = {
        name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    os.environ.update(dict.fromkeys(threads, "1"))  # read by the workers' numpy when they start
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, state)
    try:
        for future in [pool.submit(_write_background, state[0], c, scale) for c in cameras]:
            future.result()
        chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
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
    """sha256 over the sorted names and the bytes of all pictures of a set."""
    digest = hashlib.sha256()
    for path in sorted(p for split in SPLITS for p in (folder / split).glob("*.jpg")):
        digest.update(f"{path.parent.name}/{path.name}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _finish(folder: Path, settings: dict[str, Any], items: list[Item], size: tuple[int, int]) -> None:
    """Gather the records into the truth files, then write the manifest, then clear up."""
    for split in SPLITS:
        mine = sorted((i for i in items if i.split == split), key=lambda i: i.name)
        rows = [f"{json.dumps(i.name)}: {_record_path(folder, i).read_text()}" for i in mine]
        write_atomically(folder / "truth" / f"{split}.json", ("{\n" + ",\n".join(rows) + "\n}\n").encode())
    manifest = {
        **settings,
        "image_height": size[0],
        "image_width": size[1],
        "counts": {split: sum(i.split == split for i in items) for split in SPLITS},
        "identities": {
            split: len({i.identity for i in items if i.split == split and i.identity > 0}) for split in SPLITS
        },
        "fingerprint": fingerprint(folder),
        "licence": LICENCE,
    }
    write_atomically(manifest_path(folder), (json.dumps(manifest, indent=2) + "\n").encode())
    shutil.rmtree(folder / ".unfinished")
