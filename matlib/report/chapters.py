"""What the book's chapters share: the network that they look at, images to look with, the library's code as text."""

import inspect
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from IPython.display import Markdown
from jaxtyping import Float, Int
from torch import Tensor, nn

from matlib.ablations import Row, row_config
from matlib.annyville.gait import walk
from matlib.config import DataConfig, RunConfig
from matlib.data import ImageDataset, ReIDDataset, Sample, Truth, joint_source
from matlib.errors import MatlibError
from matlib.models import MAT, build_model, method_class
from matlib.report.figures import load_images
from matlib.report.text import plain, run_words, without_docstrings
from matlib.runs.checkpoints import find, load_model

SHIPPED = "book/weights"
"""The trained networks that come with the book, in folders named as their runs are."""

_WALK = (256, 128)  # height and width of the pictures of ``walk_past``


@dataclass(frozen=True)
class Network:
    """The network of a chapter: trained if its run was there. ``words`` say which, for the page."""

    model: nn.Module
    untrained: nn.Module  # the same network as it was before its training
    config: RunConfig
    trained: bool
    shipped: bool = False  # its weights come with the book

    @property
    def name(self) -> str:
        """Which network, for a caption."""
        run = f"row {self.config.name}, {self.config.profile} profile, seed {self.config.seed}"
        return f"{run}, trained on {self.config.data.dataset}" if self.trained else f"{run}, untrained"

    @property
    def words(self) -> Markdown:
        if self.trained:
            where = "; its weights come with the book" if self.shipped else ""
            return Markdown(f"The network on this page: {run_words(self.config)}, trained on "
                            f"{plain(self.config.data.dataset)}{where}.")
        return Markdown("**There was no trained run: the network on this page is untrained** "
                        f"({run_words(self.config)}). Pictures and numbers of the learned keypoints, parts and motions "
                        "show a random start.")


def at_hand(run: Path | str) -> Path:
    """The folder of a run; of one that was not trained here, that of its namesake whose weights come with the book."""
    run = Path(run)
    shipped = Path(SHIPPED, *run.parts[-3:])
    return shipped if not os.path.exists(run) and find(shipped) else run


def load_network(run: Path | str, profile: str = "laptop", needs: str = "keypoints") -> Network:
    """The trained model of a run and its untrained twin; where there is no such run, the profile's full row untrained.

    Args:
        needs: what a page shows of the network: its ``keypoints``, or ``parts`` alone.

    Raises MatlibError for a checkpoint that cannot be read, and for a run whose network lacks what is needed.
    """
    run = at_hand(run)
    trained = os.path.isfile(run) or find(run) is not None
    if trained:
        model, config = load_model(run)
        identities = model.global_head.classifier.out_features
    else:
        config, identities = row_config("full", profile), 2
    has_parts = issubclass(method_class(config.model.architecture), MAT)
    if not has_parts or (needs == "keypoints" and config.model.keypoints == "external"):
        branch = "keypoint" if has_parts else "part"
        raise MatlibError(f"the run {run} (row {config.name}) has no {branch} branch, which this page looks at; "
                          "give it a run of another row, such as full")
    torch.manual_seed(config.seed)
    untrained = build_model(config.model, identities).eval()
    if untrained.truth:
        raise MatlibError(f"the network of the run {run} (row {config.name}) is given {' and '.join(untrained.truth)} "
                          "beside the picture, which this page has not; give it a run of another row, such as full")
    return Network(model if trained else untrained, untrained, config, trained, Path(SHIPPED) in Path(run).parents)


def method_notes(rows: Iterable[Row]) -> Markdown:
    """What the methods of some rows are, what of them is faithful and what a reading: their files' own words, folded.
    """
    notes = []
    for row in rows:
        architecture = row.changes["model.architecture"]
        about = inspect.getdoc(inspect.getmodule(method_class(architecture)))
        file = architecture.partition(":")[0].replace(".", "/")
        notes.append(f"<details><summary>{plain(row.label)}: <code>{file}.py</code></summary>\n\n{about}\n\n</details>")
    return Markdown("\n\n".join(notes))


def find_methods(folder: Path | str) -> None:
    """Let this kernel, and the trainings that it starts, find modules of methods in a folder."""
    place = str(Path(folder).resolve())
    sys.path.insert(0, place)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [place, os.environ.get("PYTHONPATH")]))


def networks_at_hand(runs: Sequence[str]) -> list[Network]:
    """The networks of those runs that have a checkpoint."""
    return [load_network(run, needs="parts") for run in runs if find(at_hand(run))]


def training_truth(network: Network, data: ReIDDataset, samples: Sequence[Sample]) -> tuple[Tensor, ...]:
    """What the network is given in training beside these images of a set: nothing, or joints from outside."""
    config = network.config
    if not network.model.training_truth:
        return ()
    source = joint_source(config.data.joints, data, config.seed)
    return (torch.stack([item["joints"] for item in
                         ImageDataset(samples, (config.data.height, config.data.width), joints=source.joints)]),)


def show_source(*functions: Callable[..., Any]) -> Markdown:
    """The code of functions of this library, without their docstrings."""
    return Markdown("\n".join(f"```python\n{without_docstrings(inspect.getsource(f))}```" for f in functions))


def groups(samples: Sequence[Sample], identities: int, images: int) -> tuple[list[Sample], Int[Tensor, "b"]]:
    """The first identities that have so many images, with their first images, as a training batch has them.

    Where no identity has so many, as many as the richest has.
    """
    by_identity: dict[int, list[Sample]] = {}
    for sample in samples:
        by_identity.setdefault(sample.identity, []).append(sample)
    images = min(images, max(map(len, by_identity.values())))
    chosen = [own[:images] for own in by_identity.values() if len(own) >= images][:identities]
    return [s for own in chosen for s in own], torch.arange(len(chosen)).repeat_interleave(images)


def similar_views(data: ReIDDataset, count: int, largest_turn: float = 15.0) -> list[tuple[Sample, Sample]]:
    """Pairs of whole rendered images in which a person faces alike (to so many degrees) but stands differently.

    One pair a person, the largest difference in pose first; only such pairs show the same side of the body, so that one
    can be warped into the other. Where a set has too few, pairs that differ more follow, the least turned first.
    """
    whole = [(s, Truth(s)) for s in data.gallery]
    whole = [(s, t) for s, t in whole if t.occlusion <= 0.02 and (t.keypoints[:, 2] > 0).all()]
    best: dict[int, tuple[tuple[bool, float], Sample, Sample]] = {}
    for (a, t), (b, u) in itertools.combinations(whole, 2):
        if a.identity == b.identity:
            turn = abs((t.yaw - u.yaw + 180) % 360 - 180)
            alike = turn <= largest_turn
            merit = (alike, (_pose(t) - _pose(u)).norm(dim=1).mean().item() if alike else -turn)
            best[a.identity] = max(best.get(a.identity, (merit, a, b)), (merit, a, b), key=lambda pair: pair[0])
    return [(a, b) for _, a, b in sorted(best.values(), key=lambda pair: pair[0], reverse=True)][:count]


def walk_past(config: DataConfig, phases: Sequence[float]
              ) -> tuple[Float[Tensor, "n 3 h w"], np.ndarray, Float[Tensor, "n 17 2"]]:
    """One rendered person in the phases (0..1) of a stride, all else the same: the images as the model takes them, as
    they are shown, and the true joints in corner-aligned image coordinates."""
    pictures = walk(phases, *_WALK)
    with tempfile.TemporaryDirectory() as folder:
        samples = [Sample(Path(folder) / f"{i}.jpg", 1, 0) for i in range(len(pictures))]
        for sample, picture in zip(samples, pictures):
            sample.path.write_bytes(picture.jpeg)
        images, shown = load_images(samples, config)
    joints = torch.tensor(np.stack([picture.keypoints[:, :2] for picture in pictures]), dtype=torch.float32)
    return images, shown, 2 * (joints - 0.5) / (torch.tensor(_WALK[::-1]) - 1) - 1


def _pose(truth: Truth) -> Float[Tensor, "17 2"]:
    """The joints around their mean, in units of their spread."""
    joints = truth.keypoints[:, :2]
    return (joints - joints.mean(dim=0)) / joints.std()
