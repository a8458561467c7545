"""What several processes must share so that they train the same model as one would: the batch and its statistics.

And how those of one machine find each other: in a file of the user's own, over the loopback interface. The store that
torch's launcher opens listens on all addresses, asks for no secret, and unpickles what it is given.
"""

import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from jaxtyping import Shaped
from torch import Tensor, nn

from matlib.errors import MatlibError, command_line


def in_processes(count: int, work: Callable[..., object], *arguments: object) -> None:
    """``work`` in this process, or in ``count`` new ones that together are a process group.

    If one of several fails, it says why, and all end with its exit status. Raises MatlibError for a count below 1, and
    for more processes than GPUs where there are GPUs.
    """
    if count < 1 or count > (torch.cuda.device_count() or count):
        raise MatlibError(f"--processes is 1 or more, and at most one a GPU; got {count}")
    if count == 1:
        work(*arguments)
        return
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ.update(GLOO_SOCKET_IFNAME=loopback, NCCL_SOCKET_IFNAME=loopback)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        try:
            mp.spawn(_member, (count, Path(folder, "store").as_uri(), work, arguments), nprocs=count)
        except mp.ProcessExitedException as error:
            sys.exit(error.exit_code if error.exit_code > 0 else 1)


def _member(rank: int, count: int, store: str, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, init_method=store, rank=rank, world_size=count)
    command_line(lambda: work(*arguments))


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


class _Sum(torch.autograd.Function):
    """The sum over processes; its gradient is the sum of the processes' gradients."""

    @staticmethod
    def forward(context: object, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        return _Sum.forward(context, gradient)


def gather(x: Shaped[Tensor, "b ..."]) -> Shaped[Tensor, "n ..."]:
    """The rows of all processes, in rank order. Gradients flow back to the process that each row came from.

    Every process is to compute the same from them: an average over the processes of its gradients is then the gradient.
    """
    if world_size() == 1:
        return x
    rows = x.new_zeros(world_size(), *x.shape)
    rows[rank()] = x
    return _Sum.apply(rows).flatten(0, 1)


def synchronise_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """Batch normalisation over all processes' batches: torch's own on GPUs; ours on CPUs, which it refuses."""
    if world_size() == 1:
        return model
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return _replace_batch_norm(model)


def _replace_batch_norm(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        module.__class__ = _HostSyncBatchNorm
        return module
    for child in module.children():
        _replace_batch_norm(child)
    return module


class _HostSyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation of (b, c, ...) over all processes' equally large batches, on any device."""

    def _check_input_dim(self, x: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes = [0, *range(2, x.ndim)]
        moments = torch.stack([x.double().mean(axes), x.double().square().mean(axes)])
        mean, square = _Sum.apply(moments) / world_size()
        variance = square - mean.square()
        self._track(mean.detach(), variance.detach(), x.numel() // x.shape[1] * world_size())
        shape = (1, -1, *(1,) * (x.ndim - 2))
        scale = self.weight.double() * (variance + self.eps).rsqrt()
        shift = self.bias.double() - mean * scale
        return (x * scale.view(shape) + shift.view(shape)).to(x.dtype)

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), self.momentum)
