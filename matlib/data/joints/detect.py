"""Find people's joints in the images of a set, for models with external keypoints (Table 1, row 6).

    python -m matlib.data.joints.detect --dataset occluded_duke --root data

The detector is torchvision's Keypoint R-CNN (He et al., ICCV 2017), trained on COCO. What it finds is kept in a file
beside the set (``matlib.data.joints.joint_cache``), which ``data.joints=cache`` reads. An interrupted run goes
on when the same command is given again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights, keypointrcnn_resnet50_fpn
from tqdm import tqdm

from matlib.data.datasets import dataset_names, load_dataset
from matlib.data.fingerprints import image_name
from matlib.data.images import read_image
from matlib.data.joints.joint_cache import Detections, cache_path, read_cache
from matlib.data.readers.options import parse_options
from matlib.data.samples import ReIDDataset, Sample
from matlib.errors import CommandParser, MatlibError, command_line, program
from matlib.folders import check_target
from matlib.state_dicts import read_state_dict

logger = logging.getLogger(__name__)

DETECTOR = "keypointrcnn_resnet50_fpn"
THRESHOLD = 2.0
"""Of a joint's score, the logit at its place in the heatmap."""
LEAST_PERSON = 0.5
"""Of a person's score, a probability."""
SIDES = (320, 640)
"""Images are resized until the short side has so many pixels, or the long one; a pedestrian fills the image."""
SAVE_EVERY = 200
"""Images between two savings."""


def load_detector(weights: Path | None = None) -> nn.Module:
    """Keypoint R-CNN with the weights in a file, as ``read_state_dict`` reads it, or else torchvision's.

    Raises MatlibError where the weights cannot be downloaded or are not this network's.
    """
    published = KeypointRCNN_ResNet50_FPN_Weights.DEFAULT
    if weights is not None:
        state = read_state_dict(weights, "weights")
    else:
        try:
            state = published.get_state_dict(progress=False, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            raise MatlibError(f"the weights of {DETECTOR} could not be downloaded ({error}): fetch {published.url} "
                              "where there is a network, and name the file with --weights") from None
    low, high = SIDES
    detector = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=low, max_size=high)
    try:
        detector.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError):
        raise MatlibError(f"{weights} holds the weights of another network than {DETECTOR}") from None
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0  # the published weights were trained so, and torchvision sets it where it loads them
    return detector.eval()


@torch.no_grad()
def detect(dataset: ReIDDataset, detector: nn.Module, device: torch.device | str = "cpu", batch: int = 8,
           out: Path | None = None) -> Detections:
    """What the detector finds in all images of a set; written as it goes.

    Args:
        detector: takes a list of images (3, h, w) in [0, 1] and gives for each a dict with ``boxes``, ``scores``,
            ``keypoints`` and ``keypoints_scores``, as torchvision's detection models do.
        batch: images at a time.
        out: the file to write; None is the one beside the set, which ``data.joints=cache`` reads.

    Raises MatlibError where the file cannot be written, where there is one of another detector's results, or a damaged
    one, and for a damaged image.
    """
    path = out or cache_path(dataset)
    check_target(path)
    found = read_cache(dataset, out) if path.exists() else Detections(dataset, DETECTOR, THRESHOLD, place=out)
    if found.detector != DETECTOR:
        raise MatlibError(f"{path} is from another detector ({found.detector}): move it away first")
    samples = {image_name(s.path, dataset.root): s for s in (*dataset.train, *dataset.query, *dataset.gallery)}
    left = [name for name in sorted(samples) if name not in found.images]
    detector = detector.to(device)
    with tqdm(total=len(samples), initial=len(samples) - len(left), desc="detecting", unit=" images", delay=2,
              disable=None) as bar:
        for names in _batched(left, SAVE_EVERY):
            for some in _batched(names, batch):
                images = [_scaled(samples[name]).to(device) for name in some]
                found.images |= dict(zip(some, map(best_person, images, detector(images)), strict=True))
                bar.update(len(some))
            found.write()
    return found


def best_person(image: Float[Tensor, "3 h w"], result: dict[str, Tensor]) -> list[list[float | int]] | None:
    """The joints (x, y, score) of the person whom the image is about: the one that fills it most surely.

    That is the greatest product of the person's score and the share of the image that its box takes, a neighbour at the
    border has a smaller one. None where nobody is found.
    """
    boxes, scores = result["boxes"], result["scores"]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / image[0].numel()
    merit = torch.where(scores >= LEAST_PERSON, scores * area, -1.0)
    if not (merit >= 0).any():
        return None
    best = merit.argmax()
    joints = torch.cat([result["keypoints"][best, :, :2], result["keypoints_scores"][best, :, None]], dim=1)
    return [[round(number, 2) for number in joint] for joint in joints.tolist()]


def _batched(names: list[str], size: int) -> Iterator[list[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))


def _scaled(sample: Sample) -> Float[Tensor, "3 h w"]:
    return read_image(sample.path).float() / 255


def main(argv: Sequence[str] | None = None) -> None:
    parser = CommandParser(prog=program("matlib.data.joints.detect"),
                           description="Find people's joints in a set.")
    parser.add_argument("--dataset", required=True, help=f"one of {', '.join(dataset_names())}")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of the data sets; default data")
    parser.add_argument("--set", nargs="*", action="extend", default=[], metavar="NAME=VALUE",
                        help="options of the set, as query=occluded")
    parser.add_argument("--weights", type=Path, help="file of the detector's weights; default torchvision's")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default cuda")
    parser.add_argument("--batch", type=int, default=8, help="images at a time; default 8")
    parser.add_argument("--out", type=Path, help="the file to write; default the one beside the set, "
                        "which data.joints=cache reads")
    arguments = parser.parse_args(argv)
    dataset = load_dataset(arguments.dataset, arguments.root, **parse_options(arguments.set))
    check_target(arguments.out or cache_path(dataset))  # before weights are downloaded
    found = detect(dataset, load_detector(arguments.weights), arguments.device, max(1, arguments.batch), arguments.out)
    people = sum(joints is not None for joints in found.images.values())
    logger.info("%s: people in %d of %d images; %s", dataset.name, people, len(found.images), found.path)


if __name__ == "__main__":
    command_line(main)
