"""Write the keypoints that a trained run of MAT has found without labels as the joints of a set.

    python -m matlib.data.joints.from_run --run runs/laptop/full/seed0 --dataset annyville-occluded --root data

Methods with an external pose (PGFA, PVPM, HOReID, Table 1's row 6) then take them with ``data.joints=cache``, on
rendered sets and on photographs: the pose costs no label and no detector.

MAT's K points have no names, and those methods ask for COCO's 17 joints. Each point is given the name of one joint, no
two the same one, such that the mean distances of points and joints sum to the least (Hungarian assignment). They are
measured on the training images of the run, whose true joints are known because they are rendered: *the truth names the
points, and does nothing else.* It moves none, and no test image has a part in it. Joints that are left without a point
are never detected, points beyond the 17th are left out. Whoever learns without labels from mirrored images cannot tell
left from right, so neither do the names.

A point has a place in every image, so that nothing counts as hidden. Its score is the largest value of its heat map,
which sums to 1; ``--threshold`` says from where on it counts as detected.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from tqdm import tqdm

from matlib.config import RunConfig
from matlib.data.datasets import dataset_names, load_dataset
from matlib.data.fingerprints import image_name
from matlib.data.images import read_image
from matlib.data.joints.joint_cache import Detections, cache_path, read_cache
from matlib.data.readers.options import parse_options
from matlib.data.samples import ReIDDataset, Sample
from matlib.data.transforms import normalise_image, resize_image
from matlib.data.truth import VISIBLE, Truth
from matlib.errors import CommandParser, MatlibError, command_line, program
from matlib.folders import check_target
from matlib.geometry import receptive_field_scale
from matlib.runs.checkpoints import load_model

logger = logging.getLogger(__name__)

JOINTS = 17


@torch.no_grad()
def find_points(model: nn.Module, samples: Sequence[Sample], config: RunConfig, device: torch.device | str = "cpu",
                batch: int = 64) -> Float[Tensor, "n k 3"]:
    """The network's keypoints in each image: x and y in pixels of the image on disk, (0.5, 0.5) the centre of the
    first, and the largest value of the heat map.

    Raises MatlibError for a network without keypoints of its own, and for a damaged image.
    """
    if not getattr(model, "learns_keypoints", False):
        raise MatlibError(f"{config.name} finds no keypoints of its own: name a run of the full model, or of another "
                          "row with model.keypoints=self")
    size, found = (config.data.height, config.data.width), []
    model.eval().to(device)
    with tqdm(total=len(samples), desc="finding", unit=" images", delay=2, disable=None) as bar:
        for start in range(0, len(samples), batch):
            images = [read_image(sample.path) for sample in samples[start:start + batch]]
            output = model(torch.stack([normalise_image(resize_image(image, size)) for image in images]).to(device))
            scale = receptive_field_scale(size, output.features.shape[-2:], model.trunk.stride)
            places = (output.keypoints.positions + 1) * output.features.new_tensor(scale) / 2  # of the way to the last
            pixels = places * places.new_tensor([size[1] - 1, size[0] - 1]) + 0.5
            disk = places.new_tensor([[image.shape[2] / size[1], image.shape[1] / size[0]] for image in images])
            peaks = output.heatmaps.amax(dim=(2, 3))
            found.append(torch.cat([pixels * disk[:, None], peaks[..., None]], dim=2).float().cpu())
            bar.update(len(images))
    return torch.cat(found)


def name_points(points: Float[Tensor, "n k 2"], joints: Float[Tensor, "n 17 3"]) -> Int[np.ndarray, " k"]:
    """The joint, in COCO's order, whose name each point is given; -1 for points beyond the 17th.

    Args:
        points: in the same coordinates as the joints, of images whose joints are known.
        joints: x, y and visibility; a joint counts in the images in which it is visible.
    """
    visible = (joints[..., 2] == VISIBLE).double()
    distances = torch.cdist(points.double(), joints[..., :2].double())  # (n, k, 17)
    means = (distances * visible[:, None]).sum(dim=0) / visible.sum(dim=0).clamp_min(1)
    means[:, ~visible.any(dim=0)] = 1 + distances.max()  # a joint that nobody shows comes last
    chosen, named = linear_sum_assignment(means.numpy())
    names = np.full(points.shape[1], -1)
    names[chosen] = named
    return names


def write_points(dataset: ReIDDataset, model: nn.Module, config: RunConfig, people: ReIDDataset,
                 device: torch.device | str = "cpu", threshold: float = 0.0, out: Path | None = None) -> Detections:
    """The points of all images of a set, as joints with the names that ``people`` give them; written.

    Args:
        people: a rendered set with training images, of which the truth is read.
        threshold: of a point's score, from which on it counts as detected.
        out: the file to write; None is the one beside the set, which ``data.joints=cache`` reads.

    Raises MatlibError for people of whom no truth is known, where the file cannot be written, and where there is one of
    another detector's results.
    """
    if people.rendered is None or not people.train:
        raise MatlibError(f"{people.name} has no training images with true joints, which give the points their names: "
                          "name the folder of the rendered set that the run was trained on with --people")
    found = Detections(dataset, f"own keypoints of {config.name}, seed {config.seed}", threshold, place=out)
    check_target(found.path)
    if found.path.exists() and (other := read_cache(dataset, out)).detector != found.detector:
        raise MatlibError(f"{found.path} is from another detector ({other.detector}): move it away first")
    known = find_points(model, people.train, config, device)[..., :2]
    names = name_points(known, torch.stack([Truth(sample).keypoints for sample in people.train]))
    samples = {image_name(s.path, dataset.root): s for s in (*dataset.train, *dataset.query, *dataset.gallery)}
    points = find_points(model, list(samples.values()), config, device)
    joints = torch.zeros(len(points), JOINTS, 3)
    joints[..., 2] = min(threshold, 0.0) - 1  # a joint without a point
    joints[:, names[names >= 0]] = points[:, torch.from_numpy(names >= 0)]
    found.images = {name: [[round(value, 4) for value in joint] for joint in image]
                    for name, image in zip(samples, joints.tolist(), strict=True)}
    found.write()
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = CommandParser(prog=program("matlib.data.joints.from_run"),
                           description="Write a run's own keypoints as the joints of a set.")
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run of the full model")
    parser.add_argument("--dataset", required=True, help=f"one of {', '.join(dataset_names())}")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of the data sets; default data")
    parser.add_argument("--set", nargs="*", action="extend", default=[], metavar="NAME=VALUE",
                        help="options of the set, as query=occluded")
    parser.add_argument("--people", type=Path, help="folder of the rendered set that the run was trained on, which "
                        "gives the points their names; default the one that the run has read")
    parser.add_argument("--threshold", type=float, default=0.0, help="score from which on a point is detected; "
                        "default 0: always")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default cuda")
    parser.add_argument("--out", type=Path, help="the file to write; default the one beside the set, "
                        "which data.joints=cache reads")
    arguments = parser.parse_args(argv)
    dataset = load_dataset(arguments.dataset, arguments.root, **parse_options(arguments.set))
    check_target(arguments.out or cache_path(dataset))
    model, config = load_model(arguments.run)
    people = load_dataset(config.data.dataset, arguments.people or config.data.root, **config.data.options)
    found = write_points(dataset, model, config, people, arguments.device, arguments.threshold, arguments.out)
    logger.info("%s: %s in %d images; %s", dataset.name, found.detector, len(found.images), found.path)


if __name__ == "__main__":
    command_line(main)
