"""Section 4.2: the training loop, on one process or many, through Accelerate.

    python -m matlib.training --profile paper --row full --out DIR
    python -m matlib.training --processes N ...

The processes of one machine meet in a file, and nothing listens for other machines. Under ``torch.distributed.run`` or
``accelerate launch`` it runs too, on several machines; their store listens on all addresses and trusts whoever comes:
keep that to a network of your own.

A run that was stopped goes on from its last finished epoch, with the result it would have had: the batches,
augmentations, splines and dropout of an epoch depend on the seed and the epoch alone. Several processes share one
global batch, its triplets and its batch statistics, and so train the model that one process would.
"""

import argparse
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torch.utils.data import DataLoader, default_collate
from tqdm import tqdm

from matlib.ablations import ROWS, idle_settings, row_config
from matlib.config import DataConfig, RunConfig, TrainConfig, differences, profile_names, read_pairs
from matlib.data import (
    Augmentation,
    IdentitySampler,
    ImageDataset,
    ReIDDataset,
    fingerprint,
    joint_source,
    load_dataset,
)
from matlib.data.fingerprints import known_as
from matlib.data.joints import JointSource
from matlib.data.readers.options import title
from matlib.distributed import in_processes, synchronise_batch_norm
from matlib.errors import CommandParser, MatlibError, command_line, program
from matlib.evaluation import evaluate_model
from matlib.evaluation.labels import checked_labels, has_match, why_unmatched
from matlib.folders import alone
from matlib.models import MATOutput, Method, build_model, method_class
from matlib.models.descriptions import Description
from matlib.models.heads import IdentityHead
from matlib.objective import Objective
from matlib.runs import checkpoints, records
from matlib.runs.diagnostics import collapses, diagnose, gradient_norms
from matlib.runs.earlier import RESUME, check_same
from matlib.runs.state import read_state

logger = logging.getLogger(__name__)


def train(config: RunConfig, out: Path | str) -> dict[str, Any]:
    """Train one model, evaluate it on its data set's queries, and write checkpoint and record into ``out``.

    Returns the record. A finished run of the same configuration in ``out`` is returned as it is; an unfinished one goes
    on, and one whose checkpoint is lost is trained anew. A set without a test is trained on, and its record has no
    metrics. Raises MatlibError where ``out`` holds a run of another configuration or other images, the data cannot be
    read or tested on, or this machine or its environment would train something else than the configuration says; all of
    that before the first epoch.
    """
    out = Path(out)
    data = load_dataset(config.data.dataset, config.data.root, **config.data.options)
    if not data.train:
        raise MatlibError(f"{data.name} has no training images; train on {data.trained_on or 'a set that has'}, "
                          "and test on it with python -m matlib.testing")
    check_same(config, known_as(data), out)
    if all(os.path.exists(out / name) for name in (records.RECORD, checkpoints.CHECKPOINT)):
        logger.info("%s: finished before, record in %s", config.name, out)
        return records.read_record(out)
    _check_machine(config.train)
    unused = method_class(config.model.architecture).leaves_unused(config)
    accelerator = _accelerator(config.train, unused)
    with alone(out, "training") if accelerator.is_main_process else nullcontext():
        run = _Run(config, data, accelerator, out)
        run.resume()
        for epoch in range(len(run.history), config.train.epochs):
            run.epoch(epoch)
        record = run.finish()
    accelerator.end_training()
    return record


class _Run:
    """The moving parts of one training: model, optimiser, schedule, batches, and what has been measured so far."""

    def __init__(self, config: RunConfig, data: ReIDDataset, accelerator: Accelerator, out: Path):
        self.config, self.data, self.accelerator, self.out = config, data, accelerator, out
        torch.manual_seed(config.seed)
        model = build_model(config.model, data.num_train_identities)
        _check_test(data, model.truth, config.data)
        self.truth = model.truth + model.training_truth
        self.joints = joint_source(config.data.joints, data, config.seed) if "joints" in self.truth else None
        self.images, self.sampler, self.loader = _batches(config, data, self.truth, self.joints, accelerator)
        _check_description(model, self.images)
        self.labels: Tensor | None = None
        model = lay_out(synchronise_batch_norm(model, accelerator.device), config.train)
        optimizer = _optimizer(model, config.train)
        self.objective, self.optimizer = accelerator.prepare(Objective(model, config.loss, config.seed), optimizer)
        self.schedule = _schedule(optimizer, config.train, len(self.sampler))
        self.history: list[dict[str, Any]] = []
        if accelerator.is_main_process:
            logger.info("%s: trunk %s starts from %s", config.name, config.model.trunk, model.trunk.start)

    @property
    def model(self) -> Method:
        return self.accelerator.unwrap_model(self.objective).model

    def epoch(self, epoch: int) -> None:
        config, started, worked = self.config, time.perf_counter(), time.process_time()
        self.images.set_epoch(epoch)
        self.sampler.set_epoch(epoch)
        torch.manual_seed((config.seed * 10_007 + epoch) * 10_007 + self.accelerator.process_index)
        self.objective.train()
        self._begin(epoch)
        sums: dict[str, Tensor] = {}
        bar = tqdm(self.loader, desc=f"{config.name} {epoch + 1}/{config.train.epochs}", leave=False,
                   disable=not (self.accelerator.is_main_process and sys.stderr.isatty()))
        for step, batch in enumerate(bar, start=epoch * len(self.sampler)):
            terms, output, norm = self._step(batch, step)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value / len(self.sampler)
            bar.set_postfix({"loss": f"{terms['total'].item():.2f}"})
        means = self.accelerator.reduce(sums, reduction="mean")
        self.history.append({
            "epoch": epoch + 1, "losses": {name: mean.item() for name, mean in means.items()},
            "gradient_norm": norm, "learning_rate": self.schedule.get_last_lr()[-1],
            "diagnostics": self._diagnose(output, batch["identity"]),
            "gradient_norms": self._gradient_norms(norm), "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - worked})
        self._save()
        self._log()

    def _begin(self, epoch: int) -> None:
        """Let the method prepare the epoch, and take the labels that it gives the training images."""
        labels = self.model.begin_epoch(epoch, self.config.train.epochs, self._plain_batches)
        self.labels = self.labels if labels is None else labels.cpu()
        if self.labels is not None:
            self.images.set_labels(self.labels)

    def _plain_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The training images in their order, without augmentation, with their identities."""
        data, device = self.config.data, self.accelerator.device
        images = ImageDataset(self.data.train, (data.height, data.width))
        for batch in DataLoader(images, batch_size=64, num_workers=data.workers, generator=torch.Generator()):
            image = batch["image"].to(device, memory_format=memory_format(self.config.train))
            yield image, batch["identity"].to(device)

    def _diagnose(self, output: Any, identities: Tensor) -> dict[str, float]:
        """Of the epoch's last batch, where it is an output that has what is diagnosed."""
        if not isinstance(output, MATOutput):
            return {}
        return diagnose(output, identities.to(self.accelerator.device), self.config.loss)

    def _gradient_norms(self, total: float) -> dict[str, float]:
        """Of the epoch's last step, by module, as they were before clipping."""
        clipped = max(1.0, total / self.config.train.clip) if self.config.train.clip else 1.0
        return {name: clipped * norm for name, norm in gradient_norms(self.model).items()}

    def _step(self, batch: dict[str, Tensor], step: int) -> tuple[dict[str, Tensor], Any, float]:
        device = self.accelerator.device
        images = batch["image"].to(device, memory_format=memory_format(self.config.train), non_blocking=True)
        truth = tuple(batch[name].to(device) for name in self.truth)
        ramp = self.config.loss.motion_warmup_epochs * len(self.sampler)
        terms, output = self.objective(images, batch["identity"].to(device), step,
                                       min(1.0, step / ramp) if ramp else 1.0, truth)
        if not torch.isfinite(terms["total"]):
            bad = [name for name, value in terms.items() if not torch.isfinite(value)]
            raise MatlibError(f"the loss is not finite at step {step} ({', '.join(bad)}); "
                              "lower train.lr or set train.clip")
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(terms["total"])
        norm = self.accelerator.clip_grad_norm_(self.objective.parameters(), self.config.train.clip or math.inf)
        self.optimizer.step()
        self.schedule.step()
        return {name: value.detach() for name, value in terms.items()}, output, float(norm)

    def finish(self) -> dict[str, Any]:
        """Write the checkpoint, evaluate, and write the record; the state to resume from goes last."""
        if self.accelerator.is_main_process:
            checkpoints.save(self.out / checkpoints.CHECKPOINT, self._model_state())
        started = time.perf_counter()
        name = title(self.data.name, self.config.data.options)
        metrics = {name: evaluate_model(self.model, self.data, self.config.data, self.accelerator.device)
                   } if self.data.query else {}
        record = {
            "config": self.config.to_dict(),
            "data": {"name": name, "fingerprint": fingerprint(self.data), "images": len(self.data.train)}
            | ({"joints": self.joints.origin} if self.joints else {}),
            "metrics": metrics, "history": self.history,
            "seconds": {"training": sum(e["seconds"] for e in self.history),
                        "cpu": sum(e.get("cpu_seconds", 0.0) for e in self.history),
                        "evaluation": time.perf_counter() - started},
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "run": records.provenance(self.accelerator.num_processes, self.accelerator.device)}
        if self.accelerator.is_main_process:
            records.write_record(self.out, record)
            (self.out / RESUME).unlink(missing_ok=True)
            found = "".join(f"rank-1 {100 * m['rank1']:.1f}, mAP {100 * m['mAP']:.1f}; " for m in metrics.values())
            logger.info("%s: %srecord in %s", self.config.name, found, self.out / records.RECORD)
        self.accelerator.wait_for_everyone()
        return record

    def resume(self) -> None:
        path = self.out / RESUME
        if not path.exists():
            return
        scaler = self.accelerator.scaler
        fresh = {"schedule": self.schedule.state_dict()}
        if scaler is not None:
            fresh["scaler"] = scaler.state_dict()
        state = read_state(path, self.optimizer, fresh, len(self.sampler))
        checkpoints.load_weights(self.model, state["model"], path)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if scaler is not None:
            scaler.load_state_dict(state["scaler"])
        self.history, self.labels = state["history"], state.get("labels")
        logger.info("%s: goes on after epoch %d of %d", self.config.name, len(self.history), self.config.train.epochs)

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            checkpoints.save(self.out / RESUME, self._model_state() | {
                "optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict(),
                "scaler": scaler.state_dict() if scaler is not None else {}, "history": self.history,
                "labels": self.labels, "fingerprint": fingerprint(self.data)})
        self.accelerator.wait_for_everyone()

    def _model_state(self) -> dict[str, Any]:
        return checkpoints.model_state(self.model, self.config, self.data.num_train_identities)

    def _log(self) -> None:
        if self.accelerator.is_main_process:
            last, epochs = self.history[-1], self.config.train.epochs
            left = (epochs - last["epoch"]) * last["seconds"]
            logger.info("%s, seed %d: epoch %d/%d, loss %.2f, %.0f s an epoch, %s left", self.config.name,
                        self.config.seed, last["epoch"], epochs, last["losses"]["total"], last["seconds"],
                        _duration(left))
            self._warn()

    def _warn(self) -> None:
        """Of each collapse, in the epoch in which it shows first."""
        previous = self.history[-2] if len(self.history) > 1 else {"diagnostics": {}}
        before, now = ({s.partition(" (")[0]: s for s in collapses(entry["diagnostics"])}
                       for entry in (previous, self.history[-1]))
        for what in now.keys() - before.keys():
            logger.warning("%s, seed %d, epoch %d: %s",
                           self.config.name, self.config.seed, len(self.history), now[what])


def _accelerator(config: TrainConfig, unused: bool) -> Accelerator:
    """``unused``: whether the method leaves parameters without a gradient. Raises MatlibError where the environment
    asks for a process group, and there is none."""
    try:
        return Accelerator(cpu=not torch.cuda.is_available(), mixed_precision=config.mixed_precision,
                           kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=unused)])
    except ValueError as error:
        raise MatlibError("the environment asks for several processes, as a launcher or a batch system does, but not "
                          f"in full ({error}); unset LOCAL_RANK, WORLD_SIZE and the like, or use --processes") from None


#: Of Accelerate's settings in the environment, those that change no result.
_HARMLESS = {"ACCELERATE_CPU_AFFINITY", "ACCELERATE_DEBUG_MODE", "ACCELERATE_LOG_LEVEL"}
#: What ``accelerate launch`` gives to those that are not asked for.
_NOTHING = {"", "no", "false", "0", "default"}


def _check_machine(config: TrainConfig) -> None:
    """Raises MatlibError where the training would be another one than its record says."""
    if config.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise MatlibError("train.mixed_precision=fp16 needs a GPU, and torch sees none here; set it to bf16 or no")
    for name, value in os.environ.items():
        nothing = _NOTHING | ({"1"} if name == "ACCELERATE_GRADIENT_ACCUMULATION_STEPS" else set())
        if name.startswith("ACCELERATE_") and name not in _HARMLESS and value.lower() not in nothing:
            raise MatlibError(f"{name}={value} in the environment would change the training, and no record would say "
                              "so; unset it, and give matlib's own settings with --set")


def _check_test(data: ReIDDataset, truth: tuple[str, ...], config: DataConfig) -> None:
    """Read all that the test will need. Raises MatlibError where that cannot be evaluated."""
    if not data.query and not data.gallery:
        logger.warning("%s has no query and gallery images: it is trained on and not tested", data.name)
        return
    sides = data.query, data.gallery
    labels = checked_labels(*([sample.identity for sample in side] for side in sides),
                            *([sample.camera for sample in side] for side in sides))
    if not has_match(labels).any():
        raise MatlibError(f"{data.name} cannot be tested: {why_unmatched(labels)}")
    joints = joint_source(config.joints, data).joints if "joints" in truth else None
    images = ImageDataset((*data.query, *data.gallery), (config.height, config.width), joints=joints,
                          truth=[name for name in truth if name != "joints"])
    for _ in DataLoader(images, batch_size=64, num_workers=config.workers, generator=torch.Generator()):
        pass


def _check_description(model: Method, images: ImageDataset) -> None:
    """Describe two images, as the test will. Raises MatlibError where the method gives something else."""
    batch = default_collate([images[0], images[1]])
    with torch.no_grad():
        found = model.eval().describe(model(batch["image"], *(batch[name] for name in model.truth)))
    if not isinstance(found, Description) or len(found) != 2 or isinstance(found, Tensor) and found.ndim != 2:
        got = f"a tensor {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise MatlibError(f"{type(model).__name__}.describe gives a tensor (b, e), PartDescriptors or a Pyramid of b "
                          f"images; of 2 it gave {got}")


def lay_out(model: nn.Module, config: TrainConfig) -> nn.Module:
    """The model in the memory format of its images, and its trunk and encoder compiled if wanted, in place.

    Those two are nearly all of a step. Raises MatlibError where ``inductor`` finds no C++ compiler.
    """
    compilers = os.environ.get("CXX", "g++"), "clang++", "c++", "cl"
    if config.compile == "inductor" and not any(map(shutil.which, compilers)):
        raise MatlibError("train.compile=inductor needs a C++ compiler; install g++, or set train.compile=no")
    if config.compile != "no":
        for module in (model.trunk, getattr(model, "encoder", None)):
            if module is not None:
                module.compile(backend=config.compile)
    return model.to(memory_format=memory_format(config))


def memory_format(config: TrainConfig) -> torch.memory_format:
    return torch.channels_last if config.channels_last else torch.contiguous_format


def _batches(config: RunConfig, data: ReIDDataset, truth: tuple[str, ...], joints: JointSource | None,
             accelerator: Accelerator) -> tuple[ImageDataset, IdentitySampler, DataLoader]:
    augmentation = Augmentation(config.data.flip, config.data.pad, config.data.erasing,
                                erase_with=config.data.erase_with, crop=config.data.crop, colour=config.data.colour)
    images = ImageDataset(data.train, (config.data.height, config.data.width), augmentation, seed=config.seed,
                          truth=[name for name in truth if name not in ("joints", "labels")],
                          joints=joints.joints if joints else None, cache=config.data.cache)
    sampler = IdentitySampler(
        [sample.identity for sample in data.train], config.train.identities_per_batch, config.train.images_per_identity,
        seed=config.seed, rank=accelerator.process_index, num_processes=accelerator.num_processes)
    loader = DataLoader(images, batch_sampler=sampler, num_workers=config.data.workers,
                        pin_memory=accelerator.device.type == "cuda")
    return images, sampler, loader


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    groups = [{"params": [], "lr": config.lr}, {"params": [], "lr": config.lr * config.head_lr}]
    heads = {id(p) for module in model.modules() if isinstance(module, IdentityHead) for p in module.parameters()}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups[id(parameter) in heads]["params"].append(parameter)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def _schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int) -> LRScheduler:
    """Per step: the paper's steps after a linear warm-up, or one cycle."""
    if config.schedule == "onecycle":
        return OneCycleLR(optimizer, [group["lr"] for group in optimizer.param_groups],
                          total_steps=config.epochs * steps)

    def factor(step: int) -> float:
        warm = min(1.0, 0.1 + 0.9 * step / (config.warmup_epochs * steps)) if config.warmup_epochs else 1.0
        return warm * config.gamma ** (step // (config.step_epochs * steps))

    return LambdaLR(optimizer, factor)


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def parse_arguments(argv: list[str] | None = None) -> tuple[RunConfig, Path, int]:
    """What to train, into which folder, and in how many processes."""
    parser = CommandParser(prog=program("matlib.training"),
                           description="Train one model; see matlib/config.py.")
    parser.add_argument("--profile", default="laptop", help=f"one of {', '.join(profile_names())}; default laptop")
    parser.add_argument("--row", default="full", help=f"a row of the tables: {', '.join(ROWS)}; "
                                                       "or a method of your own, module:Class; default full")
    parser.add_argument("--dataset", help="name of the data set; default the profile's")
    parser.add_argument("--root", help="folder that holds the data sets; default data")
    parser.add_argument("--recipe", choices=["same_roof", "published"],
                        help="sizes, batch and schedule: the profile's (default), or those that the method was "
                             "published with")
    parser.add_argument("--seed", type=int, help="default 0")
    parser.add_argument("--processes", type=int, default=1, help="of this machine, one a GPU; default 1")
    parser.add_argument("--set", nargs="*", action="extend", default=[], metavar="NAME=VALUE",
                        help="other settings, as model.parts=6, "
                             "and options of the set, as data.options.validation=false")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the record")
    arguments = parser.parse_args(argv)
    config = row_config(arguments.row, arguments.profile, changes=_changes(arguments))
    return config, arguments.out, arguments.processes


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that a command line gives, by options of their own and with --set."""
    changes: dict[str, Any] = read_pairs(arguments.set, "model.parts=6")
    for name, option in (("name", "row"), ("profile", "profile"), ("seed", "seed"), ("recipe", "recipe"),
                         ("data.dataset", "dataset"), ("data.root", "root")):
        value = getattr(arguments, option)
        if name in changes and value is not None:
            raise MatlibError(f"--set {name}={changes[name]} and --{option} are the same setting; leave one")
        if value is not None and option not in ("row", "profile"):  # those choose what is changed
            changes[name] = value
    return changes


def _tell_idle(config: RunConfig) -> None:
    """Warn of settings that were changed and that nothing in such a run reads."""
    row = row_config(config.name, config.profile, config.seed, {"recipe": config.recipe})
    if idle := sorted(idle_settings(config) & {*differences(config, row)}):
        logger.warning("%s: nothing reads %s in such a run, so that another value changes nothing", config.name,
                       ", ".join(idle))


def main() -> None:
    config, out, processes = parse_arguments()
    _tell_idle(config)
    in_processes(processes, train, config, out)


if __name__ == "__main__":
    command_line(main)
