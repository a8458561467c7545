"""Images of a data set as tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as F
from tqdm import tqdm

from matlib.data.samples import Sample
from matlib.data.transforms import (
    Augmentation,
    augment,
    normalise_image,
    normalise_keypoints,
    resize_image,
    resize_keypoints,
)
from matlib.data.truth import keypoints_of
from matlib.errors import MatlibError


def read_image(path: Path) -> UInt8[Tensor, "3 h w"]:
    """A picture file as RGB values 0..255.

    Raises MatlibError for a file that is missing or not a whole picture.
    """
    try:
        with Image.open(path) as image:
            return F.pil_to_tensor(image.convert("RGB"))
    except FileNotFoundError:
        raise MatlibError(
            f"{path} is gone: restore it from the archive, or load the data set again"
        ) from None
    except Exception as error:  # decoders raise errors of many kinds on damaged files
        raise MatlibError(
            f"{path} cannot be read as an image; delete it or restore it from the archive ({error})"
        ) from error


class ImageDataset(Dataset):
    """The images of some samples, resized, augmented if wanted, and normalised.

    An item is a dict:

    * ``image``: (3, height, width) float, with ImageNet's mean and deviation;
    * ``identity``, ``camera``: of the sample; ``index``: its position in ``samples``;
    * ``keypoints``, only where asked for: (17, 3), x and y in [-1, 1], corner-aligned, of the image as it is
      given, and visibility 2 visible, 1 hidden, 0 outside. They are the truth of a rendered set.

    An item depends only on the seed, the epoch, the index, and how often the index came before in the same
    batch: not on the worker or process that makes it. So runs repeat, and the copies of an image in a batch
    differ.

    Parameters
    ----------
    samples: what to read.
    size: (height, width) of the images given.
    augmentation: None for testing.
    keypoints: whether to give the true keypoints.
    seed: of the augmentation.
    cache: read and resize all images now and keep them in memory (3 * height * width bytes each).

    Raises MatlibError, naming the file, for a damaged image: with ``cache`` at once, otherwise when it is
    asked for.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        size: tuple[int, int] = (256, 128),
        augmentation: Augmentation | None = None,
        *,
        keypoints: bool = False,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        self.samples = samples
        self.size = size
        self.augmentation = augmentation
        self.seed = seed
        self._keypoints = keypoints_of(samples) if keypoints else None
        # in shared memory, so that workers that live longer than an epoch see it change
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._cached = self._read_all() if cache else None

    def set_epoch(self, epoch: int) -> None:
        """Vary the images as in this epoch, from the next batch that is started."""
        self._epoch.fill_(epoch)

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

    def _item(self, index: int, copy: int) -> dict[str, Tensor | int]:
        sample = self.samples[index]
        image, source = self._resized(index)
        keypoints = None
        if self._keypoints is not None:
            keypoints = resize_keypoints(self._keypoints[index], source, self.size)
        if self.augmentation is None:
            image = normalise_image(image)
        else:
            generator = np.random.default_rng([self.seed, int(self._epoch), index, copy])
            image, keypoints = augment(image, keypoints, self.augmentation, generator)
        item = {"image": image, "identity": sample.identity, "camera": sample.camera, "index": index}
        if keypoints is not None:
            item["keypoints"] = normalise_keypoints(keypoints, self.size)
        return item

    def _resized(self, index: int) -> tuple[UInt8[Tensor, "3 h w"], tuple[int, int]]:
        """The resized image, and the (height, width) that it has on disk."""
        if self._cached is not None:
            images, sources = self._cached
            return images[index], tuple(sources[index].tolist())
        image = read_image(self.samples[index].path)
        return resize_image(image, self.size), tuple(image.shape[-2:])

    def _read_all(self) -> tuple[UInt8[Tensor, "n 3 h w"], Tensor]:
        images = torch.empty((len(self.samples), 3, *self.size), dtype=torch.uint8)
        sources = torch.empty((len(self.samples), 2), dtype=torch.int64)
        for index, sample in enumerate(tqdm(self.samples, desc="reading images", unit=" images", delay=2, disable=None)):
            image = read_image(sample.path)
            images[index] = resize_image(image, self.size)
            sources[index] = torch.tensor(image.shape[-2:])
        return images, sources
