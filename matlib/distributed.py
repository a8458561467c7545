"""What several processes must share so that they train the same model as one would: the batch and its statistics."""

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor, nn


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
