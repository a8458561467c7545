"""The transformer of section 3.2: six encoder layers over the cells of F, one decoder layer over the part queries.

Vaswani et al. 2017 with DETR's use of position embeddings (Carion et al. 2020). Queries and cells come batch first.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matlib.config import ModelConfig

#: Dotted names of what ``CellEncoder`` reads.
ENCODER_SETTINGS = frozenset(f"model.{name}" for name in (
    "pos_embed", "width", "encoder_layers", "heads", "feedforward", "dropout", "attention", "norm_first"))


def sine_position(height: int, width: int, channels: int, temperature: float = 10_000.0) -> Float[Tensor, "h w c"]:
    """Two-dimensional sine embedding, normalised to 2 pi over the map (DETR): half the channels for y, half for x.

    ``channels`` is a multiple of 4.
    """
    frequencies = temperature ** -(torch.arange(channels // 4) * 4 / channels)  # (c/4)

    def axis(length: int) -> Tensor:
        angle = 2 * math.pi * torch.arange(1, length + 1)[:, None] / length * frequencies  # (length, c/4)
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)  # (length, c/2)

    y, x = axis(height), axis(width)
    return torch.cat([y[:, None].expand(-1, width, -1), x[None].expand(height, -1, -1)], dim=-1)


def reduction(channels: int, width: int, pos_embed: str) -> nn.Sequential:
    """From the trunk's channels to the transformer's, less those that ``place`` concatenates."""
    reduced = width - _position_channels(width) if pos_embed == "concat" else width
    return nn.Sequential(nn.Conv2d(channels, reduced, kernel_size=1, bias=False), nn.BatchNorm2d(reduced))


def place(cells: Float[Tensor, "b n c"], height: int, width: int, channels: int, pos_embed: str
          ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "n d"] | float]:
    """Cells with their position, and what is added to queries and keys in every layer.

    Args:
        cells: of ``reduction``, row by row.
        channels: of the transformer.
        pos_embed: ``add_qk``: only added there; ``add_input``: to the cells; ``concat``: more channels of the cells.
    """
    own = _position_channels(channels) if pos_embed == "concat" else channels
    position = sine_position(height, width, own).flatten(0, 1).to(cells)  # (hw, c)
    if pos_embed == "add_qk":
        return cells, position
    if pos_embed == "add_input":
        return cells + position, 0.0
    return torch.cat([cells, position.expand(cells.shape[0], -1, -1)], dim=-1), 0.0


def _position_channels(width: int) -> int:
    """An eighth of the transformer's where the position is concatenated, 32 of 256."""
    return max(4, width // 32 * 4)


class Attention(nn.Module):
    """Equation 1. ``multihead`` projects to several heads; ``plain`` is softmax(Q K^T / sqrt(D')) V to the letter."""

    def __init__(self, width: int, heads: int, dropout: float, kind: str = "multihead"):
        super().__init__()
        self.projected = nn.MultiheadAttention(width, heads, dropout, batch_first=True) if kind == "multihead" else None

    def forward(self, query: Float[Tensor, "b q d"], key: Float[Tensor, "b n d"],
                value: Float[Tensor, "b n d"]) -> Float[Tensor, "b q d"]:
        if self.projected is not None:
            return self.projected(query, key, value, need_weights=False)[0]
        query, key, value = (tensor[:, None] for tensor in (query, key, value))  # one head: ONNX's attention has heads
        return nn.functional.scaled_dot_product_attention(query, key, value)[:, 0]


class Residual(nn.Module):
    """x + dropout(sublayer(x)) with its layer normalisation before the sublayer (``norm_first``) or after the sum."""

    def __init__(self, width: int, dropout: float, norm_first: bool):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: Tensor, sublayer) -> Tensor:
        if self.norm_first:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


def feedforward(width: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width))


class EncoderLayer(nn.Module):
    """Self-attention over all cells, then a feed-forward network. ``position`` is added to queries and keys."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, kind: str, norm_first: bool):
        super().__init__()
        self.attention = Attention(width, heads, dropout, kind)
        self.feedforward = feedforward(width, hidden, dropout)
        self.attend = Residual(width, dropout, norm_first)
        self.transform = Residual(width, dropout, norm_first)

    def forward(self, x: Float[Tensor, "b n d"], position: Float[Tensor, "n d"] | float) -> Float[Tensor, "b n d"]:
        x = self.attend(x, lambda y: self.attention(y + position, y + position, y))
        return self.transform(x, self.feedforward)


class DecoderLayer(nn.Module):
    """Self-attention over the queries, cross-attention to the cells, then a feed-forward network."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, kind: str, norm_first: bool):
        super().__init__()
        self.self_attention = Attention(width, heads, dropout, kind)
        self.cross_attention = Attention(width, heads, dropout, kind)
        self.feedforward = feedforward(width, hidden, dropout)
        self.attend_queries = Residual(width, dropout, norm_first)
        self.attend_cells = Residual(width, dropout, norm_first)
        self.transform = Residual(width, dropout, norm_first)

    def forward(self, x: Float[Tensor, "b q d"], queries: Float[Tensor, "q d"], cells: Float[Tensor, "b n d"],
                position: Float[Tensor, "n d"] | float) -> Float[Tensor, "b q d"]:
        x = self.attend_queries(x, lambda y: self.self_attention(y + queries, y + queries, y))
        x = self.attend_cells(x, lambda y: self.cross_attention(y + queries, cells + position, cells))
        return self.transform(x, self.feedforward)


class Encoder(nn.Module):
    """``layers`` encoder layers and a final layer normalisation; its output is the global feature map f_g.

    With no layers (Table 1, rows 2 and 4) only the normalisation remains.
    """

    def __init__(self, layers: int, width: int, heads: int, hidden: int, dropout: float, kind: str, norm_first: bool):
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, hidden, dropout, kind, norm_first) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "b n d"], position: Float[Tensor, "n d"] | float) -> Float[Tensor, "b n d"]:
        for layer in self.layers:
            x = layer(x, position)
        return self.norm(x)


class CellEncoder(nn.Module):
    """The trunk's map with its channels reduced, its cells placed and encoded: f_g, of ``config.width`` channels.

    Args:
        channels: of the trunk's map.
        config: the transformer's sizes and readings; ``ENCODER_SETTINGS`` names what is read.
    """

    def __init__(self, channels: int, config: ModelConfig):
        super().__init__()
        self.width, self.pos_embed = config.width, config.pos_embed
        self.reduce = reduction(channels, config.width, config.pos_embed)
        self.encoder = Encoder(config.encoder_layers, config.width, config.heads, config.feedforward, config.dropout,
                               config.attention, config.norm_first)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        reduced = self.reduce(features)
        h, w = reduced.shape[-2:]
        cells, position = place(reduced.flatten(2).transpose(1, 2), h, w, self.width, self.pos_embed)
        return self.encoder(cells, position).transpose(1, 2).unflatten(2, (h, w))


class Decoder(nn.Module):
    """Learned queries, decoded against the cells: one embedding a query.

    ``target`` is what the first layer starts from: ``query`` itself, or ``zero`` as in DETR. With one layer and zero,
    all outputs start equal, and with them all keypoints and parts. With no layers (Table 1, rows 2 and 3) the queries
    themselves come out, the same for every image.
    """

    def __init__(self, queries: int, layers: int, width: int, heads: int, hidden: int, dropout: float, kind: str,
                 norm_first: bool, target: str = "query"):
        super().__init__()
        self.queries = nn.Embedding(queries, width)
        self.layers = nn.ModuleList(
            DecoderLayer(width, heads, hidden, dropout, kind, norm_first) for _ in range(layers))
        self.norm = nn.LayerNorm(width) if layers else nn.Identity()
        self.target = target

    def forward(self, cells: Float[Tensor, "b n d"], position: Float[Tensor, "n d"] | float) -> Float[Tensor, "b q d"]:
        queries = self.queries.weight  # (q, d)
        if not self.layers:
            return queries.expand(cells.shape[0], -1, -1)
        x = queries if self.target == "query" else torch.zeros_like(queries)
        x = x.expand(cells.shape[0], -1, -1)
        for layer in self.layers:
            x = layer(x, queries, cells, position)
        return self.norm(x)
