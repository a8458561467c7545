"""Score what a run has found without labels, keypoints, parts and motion, against the truth of a rendered set.

    python -m matlib.scoring --run runs/laptop/full/seed0 --dataset annyville-occluded --root data

The result is a record of its own beside the run's, with the run's configuration and provenance. Beside the trained
network's scores stand those of the same network before training, of keypoints and parts that are the same in every
image, and of the true parts in cells of the same size: what its resolution allows.
Needs scikit-learn and scipy (the ``book`` extra).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from matlib.config import RunConfig
from matlib.data import ImageDataset, ReIDDataset, Sample, load_dataset
from matlib.data.truth import HIDDEN, NUM_PARTS, VISIBLE
from matlib.errors import CommandParser, MatlibError, program
from matlib.geometry import Keypoints, centroids, receptive_field_scale, upsample
from matlib.runs.checkpoints import initial_model, load_model
from matlib.runs.folder import run_folder
from matlib.scoring import motion
from matlib.scoring.keypoints import (
    errors_by_joint,
    joint_errors,
    mean_joints,
    name_by_side,
    regress_joints,
    summarise_errors,
)
from matlib.scoring.parts import count_pixels, score_parts, stripes, true_labels
from matlib.scoring.strata import (
    OCCLUSION_EDGES,
    TURN_EDGES,
    occlusion_names,
    strata_of,
    turn_names,
    turns,
)
from matlib.testing import record_name, tested_record

logger = logging.getLogger(__name__)

TRUTH = ("keypoints", "surface", "parts", "occluders", "yaw", "occlusion")
_PAIRS = 256  # pairs of images whose flows are made at a time


class _Answer(NamedTuple):
    """What is said about a batch of images."""

    part_maps: Float[Tensor, "b q h w"]
    keypoints: Keypoints | None


@dataclass
class _Found:
    """What is said about n images, and what is true of them; on the CPU."""

    tables: np.ndarray  # (n, K + 1, labels): pixels of each part on each true label
    stripes: np.ndarray  # the same for K horizontal stripes
    part_maps: Tensor  # (n, K + 1, h, w)
    keypoints: Keypoints | None  # (n, K, 2) in the feature map's frame, (n, K, 2, 2)
    scale: tuple[float, float]  # of that frame in the image's
    joints: Tensor  # (n, 17, 3)
    surface: Tensor  # (n, s, 3)
    occlusion: np.ndarray
    yaw: np.ndarray
    identities: Tensor
    size: tuple[int, int]


def score_model(model: nn.Module, samples: Sequence[Sample], config: RunConfig, device: torch.device | str = "cpu",
                description: str = "scores") -> dict[str, Any]:
    """All scores of a model on rendered images: ``keypoints``, ``parts``, ``motion``, and their ``yardsticks``.

    Each is given over all images and by how much of the person is hidden; motion also by how far the person has turned
    between the two images. See ``matlib.scoring.keypoints``, ``.parts`` and ``.motion`` for the measures. A model
    without a keypoint branch has scores of parts alone.

    Raises MatlibError for a model without parts of its own or with outputs that are not finite, and for images that are
    not rendered.
    """
    if getattr(model, "truth", ()):
        raise MatlibError(f"{config.name} is given the truth: there is nothing that it has found")
    model.eval().to(device)

    def answer(batch: dict[str, Any]) -> _Answer:
        output = model(batch["image"].to(device, memory_format=torch.channels_last))
        if getattr(output, "part_maps", None) is None:
            raise MatlibError(f"{config.name} has neither keypoints nor parts to score; score a run of the full model")
        return _Answer(output.part_maps, output.keypoints)

    return _score(_find(answer, samples, config, model.trunk.stride, description), config)


def score_truth(samples: Sequence[Sample], config: RunConfig, description: str = "truth") -> dict[str, Any]:
    """``score_model`` of the truth, as far as the cells of a configuration's maps can tell it: a ceiling.

    The part maps are the shares of the visible true parts in each cell, the keypoints their centres, and the motion
    blends the true parts' shifts, as Equation 7 does. Raises MatlibError for images that are not rendered.
    """
    stride = config.model.output_stride
    cells = (-(-config.data.height // stride), -(-config.data.width // stride))
    found = _find(lambda batch: _true_answer(batch["parts"], cells), samples, config, stride, description)
    return _score(found, config)


def _true_answer(parts: UInt8[Tensor, "b height width"], cells: tuple[int, int]) -> _Answer:
    labels = nn.functional.one_hot(parts.long(), NUM_PARTS + 1).movedim(-1, 1).float()
    maps = nn.functional.adaptive_avg_pool2d(labels, cells)
    positions = centroids(maps)
    return _Answer(maps, Keypoints(positions, torch.eye(2).expand(*positions.shape[:2], 2, 2)))


def _score(found: _Found, config: RunConfig) -> dict[str, Any]:
    strata = strata_of(found.occlusion, OCCLUSION_EDGES)
    identities = found.identities.numpy()
    joints = found.joints.numpy()
    scores: dict[str, Any] = {
        "images": len(joints),
        "parts": _by_occlusion(found.tables, strata, lambda tables: score_parts(tables.sum(axis=0))),
        "yardsticks": {
            "parts": _by_occlusion(found.stripes, strata, lambda tables: score_parts(tables.sum(axis=0))),
            "keypoints": _joint_scores(lambda truth: mean_joints(truth, identities), joints, strata, found.size)}}
    if found.keypoints is not None:
        positions = found.keypoints.positions.numpy()
        scores["keypoints"] = _joint_scores(lambda truth: regress_joints(positions, truth, identities), joints, strata,
                                            found.size)
        scores["motion"] = _motion_scores(found, config.loss.anchor)
    return scores


def score_run(run: Path | str, dataset: str, root: Path | str) -> dict[str, Any]:
    """The record of a run's scores on the query and gallery images of a rendered set: measured now or, for the same
    images, before.

    Its ``scores`` are ``score_model``'s of the run's ``trained`` network and of the ``untrained`` one, and
    ``score_truth``'s as ``truth``.

    Raises MatlibError where the run or the set is missing or damaged, has no truth, or the run has no parts to score.
    """
    run = run_folder(run)

    def measure(data: ReIDDataset, device: torch.device) -> dict[str, Any]:
        model, config = load_model(run)
        samples = [*data.query, *data.gallery]
        scores = {name: score_model(network, samples, config, device, name)
                  for name, network in (("trained", model), ("untrained", initial_model(run)))}
        return {"metrics": {}, "scores": scores | {"truth": score_truth(samples, config)}}

    def say(record: dict[str, Any]) -> None:
        for name, score in record["scores"].items():
            logger.info("%s on %s, %s: %s", run, dataset, name, _sentence(score))

    data = load_dataset(dataset, root)
    return tested_record(run, data, record_name(data, {}, "record-scores"), measure, say)


@torch.no_grad()
def _find(answer: Callable[[dict[str, Any]], _Answer], samples: Sequence[Sample], config: RunConfig, stride: int,
          description: str) -> _Found:
    size = (config.data.height, config.data.width)
    loader = DataLoader(ImageDataset(samples, size, truth=TRUTH), batch_size=64, num_workers=config.data.workers)
    columns: dict[str, list[Tensor]] = {}
    for batch in tqdm(loader, desc=description, leave=False, disable=None):
        said = answer(batch)
        scale = receptive_field_scale(size, tuple(said.part_maps.shape[-2:]), stride)
        for name, values in (_outcome(said, batch, size, scale) | _labels(batch)).items():
            columns.setdefault(name, []).append(values)
    found = {name: torch.cat(values) for name, values in columns.items()}
    bad = [name for name in ("part_maps", "positions", "jacobians")
           if name in found and not found[name].isfinite().all()]
    if bad:
        raise MatlibError(f"the model's {' and '.join(bad)} are not all finite: its training has diverged; "
                          "train it anew with a lower train.lr")
    located = "positions" in found
    return _Found(
        tables=found["tables"].numpy(), stripes=found["stripes"].numpy(), part_maps=found["part_maps"],
        keypoints=Keypoints(found["positions"], found["jacobians"]) if located else None, scale=scale,
        joints=found["keypoints"], surface=found["surface"], occlusion=found["occlusion"].numpy(),
        yaw=found["yaw"].numpy(), identities=found["identity"], size=size)


def _outcome(said: _Answer, batch: dict[str, Any], size: tuple[int, int], scale: tuple[float, float]
             ) -> dict[str, Tensor]:
    """What is kept of an answer to a batch."""
    maps = said.part_maps.float().cpu()
    count = maps.shape[1]
    truth = true_labels(batch["parts"], batch["occluders"])
    parts = upsample(maps, size, scale).argmax(dim=1)
    striped = stripes(count - 1, *size).expand_as(parts)
    kept = {"part_maps": maps, "tables": torch.from_numpy(count_pixels(parts, truth, count)),
            "stripes": torch.from_numpy(count_pixels(striped, truth, count))}
    if said.keypoints is not None:
        kept |= {name: getattr(said.keypoints, name).float().cpu() for name in ("positions", "jacobians")}
    return kept


def _labels(batch: dict[str, Any]) -> dict[str, Tensor]:
    return {name: batch[name] for name in ("keypoints", "surface", "occlusion", "yaw", "identity")}


def _by_occlusion(values: np.ndarray, strata: np.ndarray, score: Any) -> dict[str, Any]:
    """A score over all images, and over those of each stratum."""
    by = {name: score(values[strata == i]) for i, name in enumerate(occlusion_names()) if (strata == i).any()}
    return score(values) | {"by_occlusion": by}


def _joint_scores(predict: Callable[[np.ndarray], np.ndarray], joints: np.ndarray, strata: np.ndarray,
                  size: tuple[int, int]) -> dict[str, Any]:
    """Errors of visible joints; ``hidden``: of those that are hidden, predicted by the maps fitted to visible ones;
    ``by_joint``: of each joint, in COCO's order.

    ``by_side`` has both for joints whose left and right are the image's.
    """
    def measure(truth: np.ndarray) -> dict[str, Any]:
        predictions = predict(truth)
        errors = joint_errors(predictions, truth, size, VISIBLE)
        scores = _by_occlusion(errors, strata, summarise_errors) | {"by_joint": errors_by_joint(errors)}
        return scores | {"hidden": summarise_errors(joint_errors(predictions, truth, size, HIDDEN))}

    return measure(joints) | {"by_side": measure(name_by_side(joints))}


def _motion_scores(found: _Found, anchor: str) -> dict[str, Any]:
    """Mean end-point errors of the learned flow and of the yardsticks, over the points that both images show."""
    reference, source = motion.pair_images(found.identities)
    errors: dict[str, list[Tensor]] = {name: [] for name in ("learned", *motion.YARDSTICKS, "seen")}
    for a, b in zip(reference.split(_PAIRS), source.split(_PAIRS)):
        at, to = found.surface[a], found.surface[b]
        seen = (at[..., 2] == VISIBLE) & (to[..., 2] == VISIBLE)
        at, to = at[..., :2], to[..., :2]
        flow = motion.learned_flow(found.keypoints, found.part_maps, a, b, anchor)
        predicted = {kind: motion.fitted_flow(at, to, seen, kind) for kind in motion.YARDSTICKS}
        predicted["learned"] = motion.follow_flow(flow, at, found.scale)
        for name, points in predicted.items():
            errors[name].append(motion.end_point_errors(points, to, found.size))
        errors["seen"].append(seen)
    table = {name: torch.cat(values).numpy() for name, values in errors.items()}
    turned = strata_of(turns(found.yaw[reference], found.yaw[source]), TURN_EDGES)
    hidden = strata_of(np.maximum(found.occlusion[reference], found.occlusion[source]), OCCLUSION_EDGES)
    return _mean_errors(table) | {"by_turn": _mean_errors_by(table, turned, turn_names()),
                                  "by_occlusion": _mean_errors_by(table, hidden, occlusion_names())}


def _mean_errors(table: dict[str, np.ndarray]) -> dict[str, Any]:
    """The mean of each column over the points that are ``seen``: the same ones for every flow."""
    seen = table["seen"]
    means = {name: float(errors[seen].mean()) if seen.any() else None
             for name, errors in table.items() if name != "seen"}
    return means | {"pairs": len(seen), "points": int(seen.sum())}


def _mean_errors_by(table: dict[str, np.ndarray], strata: np.ndarray, names: list[str]) -> dict[str, Any]:
    return {name: _mean_errors({k: errors[strata == i] for k, errors in table.items()})
            for i, name in enumerate(names) if (strata == i).any()}


def main() -> None:
    parser = CommandParser(prog=program("matlib.scoring"),
                           description="Score a run's keypoints, parts and motion against the truth.")
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished training run")
    parser.add_argument("--dataset", required=True, help="name of a rendered data set, as annyville-occluded")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder that holds the data sets; default data")
    arguments = parser.parse_args()
    score_run(arguments.run, arguments.dataset, arguments.root)


def _sentence(scores: dict[str, Any]) -> str:
    parts, yardsticks = scores["parts"], scores["yardsticks"]
    nmi, of_stripes = (_number(found["all"]["nmi"], 1.0, 3) for found in (parts, yardsticks["parts"]))
    words = [f"parts: NMI {nmi} (stripes {of_stripes}), foreground IoU {_number(parts['foreground_iou'], 1.0, 2)}"]
    if "keypoints" in scores:
        errors, flows = scores["keypoints"], scores["motion"]
        words = [f"joints: error {_number(errors['error'])} % of the height (mean pose "
                 f"{_number(yardsticks['keypoints']['error'])})", *words,
                 f"motion: end-point error {_number(flows['learned'])} % (identity {_number(flows['identity'])}, "
                 f"best affine map {_number(flows['affine'])})"]
    return "; ".join(words)


def _number(value: float | None, factor: float = 100.0, digits: int = 1) -> str:
    """A score in words; what could not be measured (no joint is seen, no pair of images) is a dash."""
    return "–" if value is None else f"{factor * value:.{digits}f}"

