"""From a trained model to the numbers of its retrieval test."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm  # not tqdm.auto: its widgets make published pages fetch scripts

from matlib.config import DataConfig
from matlib.data import ImageDataset, ReIDDataset, Sample
from matlib.evaluation.ranking import RankingMetrics, evaluate_features
from matlib.evaluation.uncertainty import bootstrap
from matlib.evaluation.visible_parts import PartDescriptors, evaluate_parts
from matlib.models import MATOutput

RANKS = (1, 3, 5, 10)


def extract_descriptors(model: nn.Module, samples: Sequence[Sample], config: DataConfig,
                        device: torch.device | str = "cpu", batch_size: int = 64,
                        description: str = "descriptors") -> Float[Tensor, "n e"]:
    """The L2-normalised descriptors of images at test time, on the CPU, in the order of the samples.

    Raises MatlibError, naming the file, for an image that cannot be read, or that lacks the labels a model asks for.
    """
    return torch.cat([output.descriptor.float().cpu()
                      for output in _outputs(model, samples, config, device, batch_size, description)])


def extract_raw(model: nn.Module, samples: Sequence[Sample], config: DataConfig, device: torch.device | str = "cpu",
                batch_size: int = 64, description: str = "features") -> Float[Tensor, "n e"]:
    """The global and part features of images before the neck, as they come: not normalised.

    Raises MatlibError as ``extract_descriptors``.
    """
    return torch.cat([torch.cat([output.global_feature] + ([] if output.part_features is None
                                                           else [output.part_features.flatten(1)]), dim=1).float().cpu()
                      for output in _outputs(model, samples, config, device, batch_size, description)])


def extract_parts(model: nn.Module, samples: Sequence[Sample], config: DataConfig, device: torch.device | str = "cpu",
                  batch_size: int = 64, description: str = "descriptors") -> PartDescriptors:
    """The same descriptors taken apart, with the visibility of each part: for a model that tells it.

    Raises MatlibError as ``extract_descriptors``.
    """
    vectors, visibilities = [], []
    for output in _outputs(model, samples, config, device, batch_size, description):
        vectors.append(output.descriptor.float().cpu())
        visibilities.append(output.visibility.float().cpu())
        shape = output.part_features.shape[1:]  # (k, c)
    vectors = torch.cat(vectors)
    whole = vectors.shape[1] - shape.numel()
    return PartDescriptors(vectors[:, whole:].unflatten(1, shape), torch.cat(visibilities), vectors[:, :whole])


@torch.no_grad()
def _outputs(model: nn.Module, samples: Sequence[Sample], config: DataConfig, device: torch.device | str,
             batch_size: int, description: str) -> Iterator[MATOutput]:
    images = ImageDataset(samples, (config.height, config.width), truth=model.truth)
    loader = DataLoader(images, batch_size=batch_size, num_workers=config.workers)
    training = model.training
    model.eval().to(device)
    for batch in tqdm(loader, desc=description, leave=False, disable=None):
        yield model(batch["image"].to(device, memory_format=torch.channels_last),
                    *(batch[name].to(device) for name in model.truth))
    model.train(training)


def rank_model(model: nn.Module, data: ReIDDataset, config: DataConfig, device: torch.device | str = "cpu"
               ) -> RankingMetrics:
    """Rank the gallery for each query by cosine distance of the descriptors (Market protocol).

    Where the model tells how visible its parts are, their distances are weighted by it (``part_distances``).
    """
    weighted = model.config.architecture == "true_parts" or model.config.visibility != "off"
    extract, rank = (extract_parts, evaluate_parts) if weighted else (extract_descriptors, evaluate_features)
    query, gallery = (extract(model, part, config, device, description=name)
                      for name, part in (("query", data.query), ("gallery", data.gallery)))
    ids = [[s.identity for s in part] for part in (data.query, data.gallery)]
    cameras = [[s.camera for s in part] for part in (data.query, data.gallery)]
    return rank(query, gallery, *(torch.tensor(labels) for labels in (*ids, *cameras)))


def evaluate_model(model: nn.Module, data: ReIDDataset, config: DataConfig, device: torch.device | str = "cpu"
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
