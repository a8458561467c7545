"""From a trained model to the numbers of its retrieval test."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm  # not tqdm.auto: its widgets make published pages fetch scripts

from matlib.config import DataConfig
from matlib.data import ImageDataset, ReIDDataset, Sample, joint_source
from matlib.data.joints import JointSource
from matlib.evaluation.labels import Array
from matlib.evaluation.ranking import RankingMetrics, evaluate_features
from matlib.evaluation.two_stage import evaluate_pyramids
from matlib.evaluation.uncertainty import bootstrap
from matlib.evaluation.visible_parts import evaluate_parts
from matlib.models import Method
from matlib.models.descriptions import Description, PartDescriptors, Pyramid, join

RANKS = (1, 3, 5, 10)


def describe_images(model: Method, samples: Sequence[Sample], config: DataConfig, device: torch.device | str = "cpu",
                    joints: JointSource | None = None, batch_size: int = 64, name: str = "descriptors") -> Description:
    """What a method compares of images at test time, on the CPU, in the order of the samples.

    Args:
        joints: of the images, for a method that takes joints.

    Raises MatlibError, naming the file, for an image that cannot be read, or that lacks the labels a method asks for.
    """
    return join([model.describe(output)
                 for output in _outputs(model, samples, config, device, joints, batch_size, name)])


def extract_descriptors(model: Method, samples: Sequence[Sample], config: DataConfig,
                        device: torch.device | str = "cpu", batch_size: int = 64,
                        description: str = "descriptors") -> Float[Tensor, "n e"]:
    """The L2-normalised descriptors of images at test time, on the CPU, in the order of the samples.

    Raises MatlibError as ``describe_images``, and for a method that has no single vector an image.
    """
    return join([model.vector(output) for output in _outputs(model, samples, config, device, None, batch_size,
                                                             description)])


def extract_raw(model: Method, samples: Sequence[Sample], config: DataConfig, device: torch.device | str = "cpu",
                batch_size: int = 64, description: str = "features") -> Float[Tensor, "n e"]:
    """The global and part features of images before the neck, as they come: not normalised; of a MATOutput.

    Raises MatlibError as ``describe_images``.
    """
    return join([torch.cat([output.global_feature] + ([] if output.part_features is None
                                                      else [output.part_features.flatten(1)]), dim=1)
                 for output in _outputs(model, samples, config, device, None, batch_size, description)])


@torch.no_grad()
def _outputs(model: Method, samples: Sequence[Sample], config: DataConfig, device: torch.device | str,
             joints: JointSource | None, batch_size: int, description: str) -> Iterator[Any]:
    images = ImageDataset(samples, (config.height, config.width), joints=joints.joints if joints else None,
                          truth=[name for name in model.truth if name != "joints"])
    loader = DataLoader(images, batch_size=batch_size, num_workers=config.workers)
    training = model.training
    model.eval().to(device)
    for batch in tqdm(loader, desc=description, leave=False, disable=None):
        yield model(batch["image"].to(device, memory_format=torch.channels_last),
                    *(batch[name].to(device) for name in model.truth))
    model.train(training)


def rank_model(model: Method, data: ReIDDataset, config: DataConfig, device: torch.device | str = "cpu"
               ) -> RankingMetrics:
    """Rank the gallery for each query as the method compares images (Market protocol).

    By cosine distance of vectors, by ``part_distances`` of parts, or in two stages (``evaluate_pyramids``). A noisy
    source of joints errs alike for every seed.
    """
    joints = joint_source(config.joints, data) if "joints" in model.truth else None
    query, gallery = (describe_images(model, part, config, device, joints, name=name)
                      for name, part in (("query", data.query), ("gallery", data.gallery)))
    ids = [[s.identity for s in part] for part in (data.query, data.gallery)]
    cameras = [[s.camera for s in part] for part in (data.query, data.gallery)]
    return rank_descriptions(query, gallery, *(torch.tensor(labels) for labels in (*ids, *cameras)))


def rank_descriptions(query: Description, gallery: Description, *labels: Array) -> RankingMetrics:
    """Rank the gallery for each query by the distance that goes with what describes both.

    Args:
        labels: identities of queries and gallery images, then their cameras.

    Raises MatlibError as ``evaluate_features``, ``evaluate_parts`` and ``evaluate_pyramids`` do.
    """
    rankings = {Tensor: evaluate_features, PartDescriptors: evaluate_parts, Pyramid: evaluate_pyramids}
    return rankings[type(query)](query, gallery, *labels)


def evaluate_model(model: Method, data: ReIDDataset, config: DataConfig, device: torch.device | str = "cpu"
                   ) -> dict[str, Any]:
    """What a record keeps of the test: rank-1/3/5/10, mAP and mINP in 0..1, numbers of images, and seconds.

    With ``intervals``, the 95 % bootstrap interval of each metric over the queries' identities; and ``per_query``, by
    which two models are compared in pairs (``tables.differences``): a line of numbers for each kind of result.
    """
    started = time.perf_counter()
    metrics = rank_model(model, data, config, device)
    identities = torch.tensor([sample.identity for sample in data.query])
    intervals = {name: [interval.low, interval.high]
                 for name, interval in bootstrap(metrics, clusters=identities).items()}
    results = metrics.per_query()
    lines = {"queries": results.queries, "identities": identities.numpy()[results.queries],
             "first_ranks": results.first_ranks.astype(int), "average_precisions": results.average_precisions,
             "inverse_negative_penalties": results.inverse_negative_penalties}
    per_query = {name: " ".join(f"{value:.5g}" if column.dtype.kind == "f" else str(value) for value in column)
                 for name, column in lines.items()}
    return {**{f"rank{k}": metrics.rank(k) for k in RANKS}, "mAP": metrics.mAP, "mINP": metrics.mINP,
            "intervals": intervals, "per_query": per_query,
            "queries": int(metrics.valid_queries.sum()), "queries_without_match": int((~metrics.valid_queries).sum()),
            "gallery": len(data.gallery), "seconds": time.perf_counter() - started}
