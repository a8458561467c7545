"""Images of a data set as tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import ExifTags, Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as F
from tqdm import tqdm

from matlib.data.formats import open_picture
from matlib.data.samples import Sample
from matlib.data.transforms import (
    COCO_MIRROR,
    Augmentation,
    Variation,
    normalise_points,
    resize_image,
    resize_labels,
    resize_points,
    surface_mirror,
)
from matlib.data.truth import Truth, hidden_of, occluders_of, parts_of
from matlib.errors import MatlibError


_MASKS = {"parts": parts_of, "hidden": hidden_of, "occluders": occluders_of}
TRUTH_NAMES = ("keypoints", "surface", *_MASKS, "yaw", "occlusion", "occluder")


class _Cache(NamedTuple):
    """All images, resized, with the (height, width) that each has on disk, and their masks if those are used."""

    images: UInt8[Tensor, "n 3 h w"]
    sources: Int64[Tensor, "n 2"]
    labels: UInt8[Tensor, "m h w"]


def read_image(path: Path) -> UInt8[Tensor, "3 h w"]:
    """A picture file as RGB values 0..255, turned as its EXIF orientation says; 16 bits a value become 8.

    Raises MatlibError for a file that is missing or not a whole picture, and for one of 32-bit values, whose range
    nobody tells.
    """
    try:
        with open_picture(path) as image:
            return rgb_of(image)
    except FileNotFoundError:
        raise MatlibError(
            f"{path} is gone: restore it from the archive, or load the data set again"
        ) from None
    except Exception as error:  # decoders raise errors of many kinds on damaged files
        raise MatlibError(
            f"{path} cannot be read as an image; delete it or restore it from the archive ({error})"
        ) from error


def rgb_of(image: Image.Image) -> UInt8[Tensor, "3 h w"]:
    """An image of any mode as RGB values 0..255, as ``read_image`` gives them. Raises what PIL's decoders raise."""
    return F.pil_to_tensor(_eight_bits(_upright(image)).convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    except Exception:  # a picture may be sound though its EXIF is not
        turned = False
    return ImageOps.exif_transpose(image) if turned else image


def _eight_bits(image: Image.Image) -> Image.Image:
    """PIL's own conversion clips what is over 255, which leaves such pictures white."""
    if image.mode in ("I", "F"):
        raise ValueError("its values have 32 bits: save it with 8")
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if image.mode.startswith("I;16") else image


class ImageDataset(Dataset):
    """The images of some samples, resized, augmented if wanted, and normalised.

    An item is a dict:

    * ``image``: (3, height, width) float, with ImageNet's mean and deviation;
    * ``identity``, ``camera``: of the sample; ``index``: its position in ``samples``;
    * what ``truth`` names, of the image as it is given, varied along with it:

      - ``keypoints``: (17, 3), x and y in [-1, 1], corner-aligned, and visibility 2 visible, 1 hidden,
        0 outside;
      - ``surface``: (s, 3), the same of points of the skin, which are the same on every person;
      - ``parts``: (height, width) uint8, the part that is seen at each pixel, 1..13, or 0;
      - ``hidden``, ``occluders``: (height, width) bool, where the person is hidden, and where something
        hides: an occluder, or the erased rectangle;
      - ``yaw``: where the person faces, in degrees;
      - ``occlusion``, ``occluder``: the share of the person that is hidden and by what (``"none"`` if by
        nothing), in the image as rendered;

    * ``joints``: (17, 3), as ``keypoints``, from the source in ``joints``, if there is one;
    * ``labels``: (height, width) uint8, those of ``set_labels``, if there are any, varied along with the image; 255
      (``NO_LABEL``) where it was padded or erased.

    An item depends only on the seed, the epoch, the index, and how often the index came before in the same
    batch: not on the worker or process that makes it. So runs repeat, and the copies of an image in a batch
    differ.

    Args:
        samples: what to read.
        size: (height, width) of the images given.
        augmentation: None for testing.
        truth: names from the list above, where the images are rendered.
        seed: of the augmentation.
        joints: gives the joints of a sample that come from outside (``matlib.data.joints``).
        cache: read and resize all images now and keep them in memory (3 * height * width bytes each; 4 with
            masks).

    Raises MatlibError for an unknown name in ``truth``, for truth of photographs, which have none, and,
    naming the file, for a damaged image or mask: with ``cache`` at once, otherwise when it is asked for.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        size: tuple[int, int] = (256, 128),
        augmentation: Augmentation | None = None,
        *,
        truth: Sequence[str] = (),
        seed: int = 0,
        joints: Callable[[Sample], Float[Tensor, "17 3"]] | None = None,
        cache: bool = False,
    ) -> None:
        self.samples = samples
        self.size = size
        self.augmentation = augmentation
        self.seed = seed
        self._truth = _checked_names(truth)
        self._truths = [Truth(sample) for sample in samples] if truth else []
        self._joints = [joints(sample) for sample in samples] if joints else []
        # in shared memory, so that workers that live longer than an epoch see it change
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._labels: Tensor | None = None
        self._cached = self._read_all() if cache else None

    def set_epoch(self, epoch: int) -> None:
        """Vary the images as in this epoch, from the next batch that is started."""
        self._epoch.fill_(epoch)

    def set_labels(self, labels: UInt8[Tensor, "n h w"]) -> None:
        """Give every image labels of its own, as of clusters, from the next epoch; a map covers its whole image."""
        if len(labels) != len(self):
            raise ValueError(f"there are {len(labels)} maps of labels for {len(self)} images")
        self._labels = labels.cpu()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor | int]:
        return self._item(index, copy=0)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor | int]]:
        """The items of one batch (what a DataLoader calls)."""
        seen: Counter[int] = Counter()
        items = []
        for index in indices:
            items.append(self._item(index, copy=seen[index]))
            seen[index] += 1
        return items

    def _item(self, index: int, copy: int) -> dict[str, Tensor | int | float | str]:
        sample = self.samples[index]
        image, source = self._resized(index)
        variation = Variation()
        if self.augmentation is not None:
            generator = np.random.default_rng([self.seed, int(self._epoch), index, copy])
            variation = Variation.draw(self.augmentation, self.size, generator)
        donor = None if variation.donor is None else self._resized(int(variation.donor * len(self)))[0]
        item = {"image": variation.image(image, donor), "identity": sample.identity, "camera": sample.camera,
                "index": index}
        if self._joints:
            item["joints"] = self._varied_points(self._joints[index], source, variation, COCO_MIRROR)
        if self._labels is not None:
            item["labels"] = variation.cells(resize_labels(self._labels[index], self.size))
        return item | self._varied_truth(index, source, variation) if self._truth else item

    def _varied_truth(
        self, index: int, source: tuple[int, int], variation: Variation
    ) -> dict[str, Tensor | float | str]:
        """What is asked for of an image that is (height, width) = ``source`` on disk."""
        truth = self._truths[index]
        values: dict[str, Tensor | float | str] = {}
        if "keypoints" in self._truth:
            values["keypoints"] = self._varied_points(truth.keypoints, source, variation, COCO_MIRROR)
        if "surface" in self._truth:
            points = truth.surface
            values["surface"] = self._varied_points(points, source, variation, surface_mirror(len(points)))
        if self._has_masks:
            labels = variation.labels(self._resized_labels(index, source))
            values |= {name: read(labels) for name, read in _MASKS.items() if name in self._truth}
        scalars = {"yaw": variation.yaw(truth.yaw), "occlusion": truth.occlusion, "occluder": truth.occluder or "none"}
        return values | {name: value for name, value in scalars.items() if name in self._truth}

    def _varied_points(
        self, points: Float[Tensor, "k 3"], source: tuple[int, int], variation: Variation, mirror: Sequence[int]
    ) -> Float[Tensor, "k 3"]:
        points = resize_points(points, source, self.size)
        return normalise_points(variation.points(points, self.size, mirror), self.size)

    @property
    def _has_masks(self) -> bool:
        return not _MASKS.keys().isdisjoint(self._truth)

    def _resized(self, index: int) -> tuple[UInt8[Tensor, "3 h w"], tuple[int, int]]:
        """The resized image, and the (height, width) that it has on disk."""
        if self._cached is not None:
            return self._cached.images[index], tuple(self._cached.sources[index].tolist())
        image = read_image(self.samples[index].path)
        return resize_image(image, self.size), tuple(image.shape[-2:])

    def _resized_labels(self, index: int, source: tuple[int, int]) -> UInt8[Tensor, "h w"]:
        """The resized mask of an image that is (height, width) = ``source`` on disk."""
        return self._read_labels(index, source) if self._cached is None else self._cached.labels[index]

    def _read_labels(self, index: int, source: tuple[int, int]) -> UInt8[Tensor, "h w"]:
        labels = self._truths[index].labels
        if tuple(labels.shape) != source:
            raise MatlibError(
                f"the mask of {self.samples[index].path} has another size than the image; render the set again"
            )
        return resize_labels(labels, self.size)

    def _read_all(self) -> _Cache:
        count, masks = len(self.samples), len(self.samples) if self._has_masks else 0
        cache = _Cache(
            images=torch.empty((count, 3, *self.size), dtype=torch.uint8),
            sources=torch.empty((count, 2), dtype=torch.int64),
            labels=torch.empty((masks, *self.size), dtype=torch.uint8),
        )
        bar = tqdm(self.samples, desc="reading images", unit=" images", delay=2, disable=None)
        for index, sample in enumerate(bar):
            image = read_image(sample.path)
            cache.images[index] = resize_image(image, self.size)
            cache.sources[index] = torch.tensor(image.shape[-2:])
            if self._has_masks:
                cache.labels[index] = self._read_labels(index, tuple(image.shape[-2:]))
        return cache


def _checked_names(names: Sequence[str]) -> frozenset[str]:
    for name in [names] if isinstance(names, str) else names:
        if name not in TRUTH_NAMES:
            raise MatlibError(f"truth is a list of names from {', '.join(TRUTH_NAMES)}; got {name!r}")
    return frozenset([names] if isinstance(names, str) else names)
