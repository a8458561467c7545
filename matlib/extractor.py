"""A trained model as a feature extractor for one's own pictures of people.

    extractor = Extractor("runs/laptop/full/seed0")
    descriptors = extractor(["a.jpg", image, array])        # (3, e), L2-normalised
    extractor.compare("a.jpg", "b.jpg")                     # cosine distance, 0 the same to 2
    index = extractor.index("gallery")                      # every picture in a folder
    extractor.search(index, "a.jpg", count=5)               # the nearest first

    python -m matlib.extractor --run runs/laptop/full/seed0 compare a.jpg b.jpg
    python -m matlib.extractor --run runs/laptop/full/seed0 index gallery --out gallery.npz
    python -m matlib.extractor --run runs/laptop/full/seed0 search a.jpg gallery.npz
    python -m matlib.extractor --run runs/laptop/full/seed0 export model.onnx

A picture is one person, cropped as a detector would; it is resized to the model's size without keeping its aspect
ratio, as in training.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from matlib.data.formats import IMAGE_SUFFIXES
from matlib.data.images import read_image, rgb_of
from matlib.data.readers.folders import pictures_below
from matlib.data.transforms import normalise_image, resize_image
from matlib.errors import CommandParser, MatlibError, command_line, program
from matlib.export import export_onnx
from matlib.folders import check_target
from matlib.runs.checkpoints import load_model
from matlib.runs.records import write_atomically

logger = logging.getLogger(__name__)

LEFT_OUT = 3
"""The exit status where some pictures could not be read."""

Picture = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor


class Match(NamedTuple):
    """A picture that was found, and its cosine distance from the query: 0 is the same, 2 the opposite."""

    path: Path
    distance: float


@dataclass(frozen=True)
class Index:
    """Descriptors of pictures, to be searched.

    ``model`` is the digest of the model that made them (``Extractor.digest``), empty where that is not known;
    ``left_out`` says of each picture that could not be read why, and is not saved.
    """

    paths: tuple[Path, ...]
    descriptors: Float[Tensor, "n e"]
    model: str = ""
    left_out: dict[Path, str] = field(default_factory=dict)

    def search(self, query: Tensor | np.ndarray, count: int = 10) -> list[Match]:
        """The ``count`` nearest pictures, the nearest first; equal distances stay in the order of the paths.

        The query is one descriptor, (e,) or (1, e), of any floating-point type.

        Raises MatlibError for a descriptor of another length, which is another model's, for values that are no
        descriptor, and for a negative count.
        """
        if not isinstance(count, int | np.integer) or count < 0:
            raise MatlibError(f"the count of pictures to find is a whole number from 0; got {count!r}")
        distances = _distances(self.descriptors, self._checked(query))
        nearest = distances.argsort(stable=True)[:count].tolist()
        return [Match(self.paths[i], float(distances[i])) for i in nearest]

    def _checked(self, query: Tensor | np.ndarray) -> Float[Tensor, "e"]:
        query, length = _numbers(query, "a query"), self.descriptors.shape[1]
        if query.ndim not in (1, 2) or (query.ndim == 2 and len(query) != 1):
            raise MatlibError(
                f"a query is one descriptor, ({length},); got shape {tuple(query.shape)}: search one by one"
            )
        query = query.reshape(-1)
        if len(query) != length:
            raise MatlibError(
                f"the query's descriptor has {len(query)} numbers, those of the index {length}:"
                " make both with the same model"
            )
        if not query.is_floating_point() or not _normalised(query[None]):
            raise MatlibError("the query is no L2-normalised descriptor; make it with the extractor")
        return query.detach().cpu().to(self.descriptors.dtype)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index as a NumPy archive with ``paths``, ``descriptors`` and ``model``.

        A path is kept relative to the archive's folder where it lies in it, so that both can be moved, else absolute.
        """
        base, buffer = Path(path).absolute().parent, io.BytesIO()
        paths = [p.absolute() for p in self.paths]
        stored = [str(p.relative_to(base) if p.is_relative_to(base) else p) for p in paths]
        np.savez(
            buffer, paths=np.array(stored, dtype=str), descriptors=self.descriptors.numpy(), model=np.array(self.model)
        )
        write_atomically(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Index:
        """Read what ``save`` wrote. Raises MatlibError where there is no such file, or it is something else."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                paths, descriptors = stored["paths"].tolist(), torch.from_numpy(stored["descriptors"])
                model = str(stored["model"]) if "model" in stored else ""
            if descriptors.ndim != 2 or len(descriptors) != len(paths) or not _normalised(descriptors):
                raise ValueError("no index")
            base = Path(path).absolute().parent
            return cls(tuple(base / name for name in paths), descriptors.float(), model)
        except FileNotFoundError:
            raise MatlibError(
                f"there is no index at {path}; make it with `python -m matlib.extractor index`"
            ) from None
        except Exception:  # NumPy raises whatever its zip reader meets
            raise MatlibError(f"{path} is not an index of matlib") from None


class Extractor:
    """Pictures to descriptors, with the model of a training run.

    Parameters
    ----------
    run: folder of a finished training run, or its checkpoint.
    device: where the model runs; None is the GPU where there is one.
    batch_size: pictures in one pass.
    workers: processes that read files; 0 reads in this one.

    Raises MatlibError where the run is missing or damaged, and for a model that needs labels beside the picture.
    """

    def __init__(
        self,
        run: str | os.PathLike[str],
        *,
        device: torch.device | str | None = None,
        batch_size: int = 64,
        workers: int = 0,
    ) -> None:
        self.model, self.config = load_model(Path(run))
        if self.model.truth:
            raise MatlibError(
                f"the model in {run} is given true {' and '.join(self.model.truth)}, which one's own pictures do not"
                " have: take another row's run"
            )
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model.to(self.device)
        with torch.no_grad():  # a method that has no single vector an image says so now
            self.model.vector(self.model(torch.zeros(1, 3, *self.size, device=self.device)))
        self.batch_size = batch_size
        self.workers = workers

    @property
    def digest(self) -> str:
        """Of the weights and of the settings that descriptors depend on: an index carries it.

        It is taken anew each time, because the weights may have been changed since: about 0.1 s for a ResNet-50.
        """
        digest = hashlib.sha256(json.dumps([self.config.to_dict()["model"], self.size], sort_keys=True).encode())
        for name, values in self.model.state_dict().items():
            digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
            digest.update(values.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) that pictures are resized to."""
        return self.config.data.height, self.config.data.width

    def __call__(self, pictures: Picture | Sequence[Picture]) -> Float[Tensor, "n e"]:
        """The L2-normalised descriptors, on the CPU, in the order given; a single picture gives one row.

        A picture is a file's path, a PIL image of any mode, or RGB values: an array (h, w, 3) or a tensor (3, h, w), 0
        to 255 as uint8, 0 to 65535 as uint16, or 0 to 1 as floating-point numbers; an array (h, w) is grey.
        A batch (n, h, w, 3) or (n, 3, h, w) is a sequence of pictures. Sizes may differ.

        Raises MatlibError for no pictures, a file that cannot be read, and for values that are no such picture.
        """
        return self._describe(_listed(pictures), strict=True)[0]

    @torch.no_grad()
    def _describe(self, pictures: list[Picture], strict: bool) -> tuple[Float[Tensor, "n e"], list[str]]:
        """Descriptors, and why a picture could not be read or nothing; raises for the first such if ``strict``."""
        if not pictures:
            raise MatlibError("there are no pictures to describe; give at least one")
        self.model.eval()
        dataset = _Pictures(pictures, self.size, strict)
        loader = DataLoader(dataset, batch_size=self.batch_size, num_workers=self.workers)
        descriptors, reasons = [], []
        for images, faults in tqdm(loader, desc="descriptors", leave=False, delay=2, disable=None):
            descriptors.append(self.model.vector(self.model(images.to(self.device))).float().cpu())
            reasons += faults
        return torch.cat(descriptors), reasons

    def compare(self, one: Picture, other: Picture) -> float:
        """The cosine distance of two pictures: 0 is the same, 2 the opposite."""
        a, b = self([one, other])
        return float(_distances(a[None], b))

    def index(self, folder: str | os.PathLike[str], *, strict: bool = False) -> Index:
        """All pictures in a folder and in the folders below it, described, in the order of their paths.

        Hidden files and files of other kinds are left out; so are damaged pictures, which a warning names in the end.

        Raises MatlibError for a folder without sound pictures, and, if ``strict``, for the first damaged one.
        """
        paths = _pictures_below(Path(folder))
        descriptors, reasons = self._describe(paths, strict)
        left_out = {path: reason for path, reason in zip(paths, reasons, strict=True) if reason}
        if len(left_out) == len(paths):
            raise MatlibError(f"none of the {len(paths)} pictures in {folder} can be read: {reasons[0]}")
        if left_out:
            listed = "\n".join(left_out.values())
            logger.warning("%d of %d pictures were left out:\n%s", len(left_out), len(paths), listed)
        sound = torch.tensor([not reason for reason in reasons])
        return Index(tuple(p for p in paths if p not in left_out), descriptors[sound], self.digest, left_out)

    def search(self, index: Index, picture: Picture, count: int = 10) -> list[Match]:
        """``Index.search`` for a picture. Raises MatlibError where another model made the index, or it is unknown."""
        if index.model != self.digest:
            made = "was made with another model" if index.model else "does not say which model made it"
            raise MatlibError(f"the index {made}: make it anew with this one (python -m matlib.extractor index)")
        return index.search(self(picture), count)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the model as ONNX (see ``matlib.export``)."""
        export_onnx(self.model, self.config, Path(path))


def _distances(descriptors: Float[Tensor, "n e"], query: Float[Tensor, "e"]) -> Float[Tensor, "n"]:
    return (1 - descriptors @ query).clamp(min=0)  # rounding can go below


def _normalised(descriptors: Tensor) -> bool:
    """To the digits of half precision; what is not a number is not."""
    return bool(((descriptors.double().norm(dim=1) - 1).abs() < 1e-2).all())


class _Pictures(Dataset):
    """Pictures as the model takes them, each with the reason why it could not be read, or nothing."""

    def __init__(self, pictures: Sequence[Picture], size: tuple[int, int], strict: bool) -> None:
        self.pictures = pictures
        self.size = size
        self.strict = strict

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 h w"], str]:
        try:
            return normalise_image(resize_image(_rgb(self.pictures[index]), self.size)), ""
        except MatlibError as error:
            if self.strict:
                raise
            return torch.zeros(3, *self.size), str(error)


def _listed(pictures: Picture | Sequence[Picture]) -> list[Picture]:
    try:
        return [pictures] if _is_single(pictures) else list(pictures)
    except TypeError:
        raise MatlibError(
            f"a picture is a path, a PIL image, an array or a tensor; got {type(pictures).__name__}"
        ) from None


def _is_single(pictures: Picture | Sequence[Picture]) -> bool:
    if isinstance(pictures, (np.ndarray, Tensor)):
        return pictures.ndim < 4
    return isinstance(pictures, (str, os.PathLike, Image.Image))


def _rgb(picture: Picture) -> UInt8[Tensor, "3 h w"]:
    """RGB values 0..255. Raises MatlibError for what is no picture."""
    if isinstance(picture, (str, os.PathLike)):
        if not os.path.isfile(picture):  # which no name is too long for
            raise MatlibError(f"there is no picture at {str(picture)[:300]}")
        return read_image(Path(picture))
    if isinstance(picture, Image.Image):
        return _rgb_of_image(picture)
    if isinstance(picture, np.ndarray):
        values = _numbers(picture, "a picture")
        values = (
            values[None].expand(3, -1, -1)
            if values.ndim == 2
            else values.movedim(-1, 0)
            if values.ndim == 3
            else values
        )
        wanted = "an array is (height, width, 3)"
    elif isinstance(picture, Tensor):
        values, wanted = _numbers(picture, "a picture"), "a tensor is (3, height, width)"
    else:
        raise MatlibError(f"a picture is a path, a PIL image, an array or a tensor; got {type(picture).__name__}")
    if values.ndim != 3 or len(values) != 3 or 0 in values.shape:
        raise MatlibError(f"{wanted}; got shape {tuple(picture.shape)}")
    if values.dtype == torch.uint8:
        return values
    if values.dtype == torch.uint16:  # as a file of 16 bits
        return (values.to(torch.int32) >> 8).to(torch.uint8)
    if values.is_complex():
        raise MatlibError(f"the values of a picture are real numbers; got {str(values.dtype).removeprefix('torch.')}")
    if not values.is_floating_point() or not bool(((values >= 0) & (values <= 1)).all()):
        found = values.double()  # unsigned integers have no minimum
        raise MatlibError(
            "the values of a picture are 0 to 255 as uint8, 0 to 65535 as uint16, or 0 to 1 as floating-point numbers;"
            f" got {str(values.dtype).removeprefix('torch.')} from {found.min():g} to {found.max():g}"
        )
    return (values * 255).round().to(torch.uint8)


def _rgb_of_image(image: Image.Image) -> UInt8[Tensor, "3 h w"]:
    try:
        values = rgb_of(image)
        if 0 in values.shape:
            raise ValueError("it has no pixels")
        return values
    except Exception as error:  # an image is decoded when it is first asked for its pixels, as a file is
        raise MatlibError(f"a picture given as a PIL image cannot be read ({error}); give another one") from error


def _numbers(values: object, what: str) -> Tensor:
    """Numbers of any order in memory as a tensor of its own. Raises MatlibError for what are none."""
    try:
        if isinstance(values, Tensor):
            values = values.detach().cpu()
            return values.dequantize() if values.is_quantized else values.to_dense() if values.is_sparse else values
        array = np.asarray(values)
        kind = np.float64 if array.dtype == np.longdouble else array.dtype.newbyteorder("=")
        return torch.from_numpy(np.array(array, dtype=kind, order="C"))
    except (TypeError, ValueError, RuntimeError):  # strings, objects, dates, tensors without data
        got = f"an array of {values.dtype}" if isinstance(values, np.ndarray) else type(values).__name__
        raise MatlibError(f"the values of {what} are numbers; got {got}") from None


def _pictures_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise MatlibError(f"{folder} is not a folder; name one with pictures")
    found = pictures_below(folder)
    if not found:
        raise MatlibError(f"{folder} holds no pictures ({', '.join(IMAGE_SUFFIXES)})")
    return found


def _search(extractor: Extractor, query: Path, place: Path, count: int, strict: bool) -> Index:
    """Log the ranked list; the query's own file, where it is among the pictures, is left out."""
    if count < 1:
        raise MatlibError(f"--count is 1 or more; got {count}")
    index = extractor.index(place, strict=strict) if place.is_dir() else Index.load(place)
    matches = extractor.search(index, query, count + 1)
    others = [match for match in matches if match.path.resolve() != query.resolve()][:count]
    for rank, match in enumerate(others, start=1):
        logger.info("%4d  %.4f  %s", rank, match.distance, match.path)
    return index


def main() -> None:
    parser = CommandParser(
        prog=program("matlib.extractor"),
        description="Use a trained model on one's own pictures.",
        epilog=f"Exit status {LEFT_OUT}: done, but pictures that could not be read were left out.",
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished training run")
    commands = parser.add_subparsers(dest="command", required=True)
    compare = commands.add_parser("compare", help="the distance of two pictures, 0 the same to 2")
    compare.add_argument("one", type=Path)
    compare.add_argument("other", type=Path)
    index = commands.add_parser("index", help="describe all pictures in a folder")
    index.add_argument("folder", type=Path)
    index.add_argument("--out", type=Path, required=True, help="the .npz file to write: paths and descriptors")
    search = commands.add_parser("search", help="the pictures nearest to one, the nearest first")
    search.add_argument("query", type=Path)
    search.add_argument("place", type=Path, help="a folder of pictures, or the file that `index` wrote")
    search.add_argument("--count", type=int, default=10, help="how many to list; default 10")
    for several in (index, search):
        several.add_argument("--strict", action="store_true", help="stop at the first picture that cannot be read")
    export = commands.add_parser("export", help="write the model as ONNX")
    export.add_argument("out", type=Path, help="the .onnx file to write")
    arguments = parser.parse_args()
    if arguments.command in ("index", "export"):
        check_target(arguments.out)
    extractor = Extractor(arguments.run)
    described = None
    if arguments.command == "compare":
        logger.info("%.4f", extractor.compare(arguments.one, arguments.other))
    elif arguments.command == "index":
        described = extractor.index(arguments.folder, strict=arguments.strict)
        described.save(arguments.out)
    elif arguments.command == "search":
        described = _search(extractor, arguments.query, arguments.place, arguments.count, arguments.strict)
    else:
        extractor.export(arguments.out)
    if described and described.left_out:
        sys.exit(LEFT_OUT)


if __name__ == "__main__":
    command_line(main)
