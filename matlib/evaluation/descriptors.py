"""From a trained model to the numbers of its retrieval test."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm  # not tqdm.auto: its widgets make published pages fetch scripts

from matlib.config import DataConfig
from matlib.data import ImageDataset, ReIDDataset, Sample
from matlib.evaluation.ranking import RankingMetrics, evaluate_features

RANKS = (1, 3, 5, 10)


@torch.no_grad()
def extract_descriptors(model: nn.Module, samples: Sequence[Sample], config: DataConfig, device: torch.device | str = "cpu",
                        batch_size: int = 64, description: str = "descriptors") -> Float[Tensor, "n e"]:
    """The L2-normalised descriptors of images at test time, on the CPU, in the order of the samples.

    Raises MatlibError, naming the file, for an image that cannot be read.
    """
    images = ImageDataset(samples, (config.height, config.width))
    loader = DataLoader(images, batch_size=batch_size, num_workers=config.workers)
    training = model.training
    model.eval().to(device)
    descriptors = [
        model(batch["image"].to(device, memory_format=torch.channels_last)).descriptor.float().cpu()
        for batch in tqdm(loader, desc=description, leave=False, disable=None)]
    model.train(training)
    return torch.cat(descriptors)


def rank_model(model: nn.Module, data: ReIDDataset, config: DataConfig, device: torch.device | str = "cpu"
               ) -> RankingMetrics:
    """Rank the gallery for each query by cosine distance of the descriptors (Market protocol)."""
    query, gallery = (extract_descriptors(model, part, config, device, description=name)
                      for name, part in (("query", data.query), ("gallery", data.gallery)))
    ids = [[s.identity for s in part] for part in (data.query, data.gallery)]
    cameras = [[s.camera for s in part] for part in (data.query, data.gallery)]
    return evaluate_features(query, gallery, *(torch.tensor(labels) for labels in (*ids, *cameras)))


def evaluate_model(model: nn.Module, data: ReIDDataset, config: DataConfig, device: torch.device | str = "cpu"
                   ) -> dict[str, float]:
    """What a record keeps of the test: rank-1/3/5/10, mAP and mINP in 0..1, numbers of images, and seconds."""
    started = time.perf_counter()
    metrics = rank_model(model, data, config, device)
    return {**{f"rank{k}": metrics.rank(k) for k in RANKS}, "mAP": metrics.mAP, "mINP": metrics.mINP,
            "queries": int(metrics.valid_queries.sum()), "queries_without_match": int((~metrics.valid_queries).sum()),
            "gallery": len(data.gallery), "seconds": time.perf_counter() - started}
