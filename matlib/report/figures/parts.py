"""Pictures of part maps: before and after training beside the true parts, and a view for the pages to point at."""

import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from matlib.annyville.truth import PART_NAMES
from matlib.data import Sample, Truth
from matlib.data.truth import NUM_PARTS
from matlib.geometry import upsample
from matlib.report.figures.images import image_rows, part_picture
from matlib.report.figures.looks import TRUE_PARTS, Look, add_legend, without_truth


def true_part_picture(sample: Sample) -> np.ndarray:
    """(H, W, 4): the labelled parts of a rendered image in the colours of their groups."""
    return TRUE_PARTS.paint(Truth(sample).parts.numpy())


def over(picture: np.ndarray, parts: np.ndarray, strength: float = 0.6) -> np.ndarray:
    """The picture (h, w, 3) with a coloured layer (h, w, 4) laid over it."""
    alpha = strength * parts[..., 3:]
    return picture * (1 - alpha) + parts[..., :3] * alpha


def part_rows(images: np.ndarray, maps: Sequence[tuple[str, Float[Tensor, "b parts h w"], Look]],
              samples: Sequence[Sample], scale: tuple[float, float]) -> Figure:
    """One image a column, one network a row: each place in the colour of its most likely part; the true parts last.

    Args:
        images: (b, H, W, 3).
        maps: a row's label, part maps, and how the parts are drawn.
        samples: of the images, for the true parts; empty where there is no truth.
        scale: ``geometry.receptive_field_scale``.
    """
    size = images.shape[1:3]
    rows = [list(images)]
    rows += [[over(i, part_picture(m, size, scale, look)) for i, m in zip(images, own)] for _, own, look in maps]
    labels = ["image", *[label for label, *_ in maps]]
    if samples:
        rows.append([true_part_picture(sample) for sample in samples])
        labels.append("true parts")
    figure = image_rows(rows, labels=labels, width=0.95)
    add_legend(figure, *[look for *_, look in maps], *([TRUE_PARTS] if samples else []))
    return figure


def part_contents(maps: Float[Tensor, "b parts h w"], samples: Sequence[Sample], scale: tuple[float, float]
                  ) -> Float[Tensor, "parts true"]:
    """Which true parts lie under each learned one, as shares of its pixels: rows sum to 1, or 0 if it wins none."""
    counts = torch.zeros(maps.shape[1], NUM_PARTS + 1)
    for own, sample in zip(maps, samples):
        true = Truth(sample).parts.long()
        winner = upsample(own[None], tuple(true.shape), scale)[0].argmax(dim=0)
        counts += torch.bincount((winner * (NUM_PARTS + 1) + true).flatten(), minlength=counts.numel()).view_as(counts)
    return counts / counts.sum(dim=1, keepdim=True).clamp_min(1)


def part_names(contents: Float[Tensor, "parts true"]) -> list[str]:
    """What to call each learned part: its number, and the true part that is found in it most often."""
    names = []
    for k, shares in enumerate(contents):
        most = int(shares.argmax())
        seen = f"most often {PART_NAMES[most]}, {shares[most]:.0%}" if shares.sum() > 0 else "wins nowhere"
        names.append(f"{'part 0, the background map' if k == 0 else f'part {k}'}: {seen}")
    return names


def part_viewer(images: np.ndarray, maps: Float[Tensor, "b parts h w"], names: Sequence[str],
                scale: tuple[float, float], look: Look | None = None) -> str:
    """A view of part maps for a static page: point at a place for its part's name, slide through the single maps.

    Plain HTML, SVG and script without any network; without script the most likely parts are shown.

    Args:
        images: (b, H, W, 3) in 0..1.
        maps: part maps.
        names: of the parts, background first.
        scale: ``geometry.receptive_field_scale``.
        look: how the parts are drawn; without one, each in a colour of its own.
    """
    look = look or without_truth(len(names) - 1)
    panels = "".join(_panel(image, own, names, scale, look) for image, own in zip(images, maps))
    own_id = "parts-" + hashlib.sha256(panels.encode()).hexdigest()[:8]
    labels = ["most likely part", *names]
    return f"""<div id="{own_id}" class="part-viewer">
<label><input type="range" min="0" max="{len(names)}" value="0" aria-label="which map">
<output>{html.escape(labels[0])}</output></label>
<div>{panels}</div>
{_legend(look)}
<script>(() => {{
  const root = document.getElementById("{own_id}"), labels = {_as_script(labels)};
  const output = root.querySelector("output"), slider = root.querySelector("input");
  const show = chosen => {{
    output.textContent = labels[chosen];
    root.querySelectorAll("[data-map]").forEach(map => {{ map.style.opacity = map.dataset.map == chosen ? 1 : 0; }});
  }};
  slider.addEventListener("input", () => show(+slider.value));
  root.querySelectorAll("rect").forEach(cell => {{
    cell.addEventListener("mouseenter", () => {{ output.textContent = labels[+cell.dataset.part + 1]; }});
    cell.addEventListener("mouseleave", () => {{ output.textContent = labels[+slider.value]; }});
  }});
}})();</script></div>"""


def _legend(look: Look) -> str:
    """The colours of a look, as ``looks.add_legend`` has them."""
    hatch = "repeating-linear-gradient(135deg, #1a1a1a 0 2px, #ebebeb 2px 4px)"
    swatches = (f'<span><i style="background: {to_hex(colour) if colour else hatch}"></i>{name}</span>'
                for name, colour in look.legend().items())
    return f'<p class="part-legend">{" ".join(swatches)}</p>' if look.legend() else ""


def _panel(image: np.ndarray, maps: Float[Tensor, "parts h w"], names: Sequence[str], scale: tuple[float, float],
           look: Look) -> str:
    size = height, width = image.shape[:2]
    colours = np.vstack([(0.5, 0.5, 0.5, 1.0), look.colours[1:]])
    large = upsample(maps[None], size, scale)[0].numpy()
    layers = [look.paint(large.argmax(0)) * (1, 1, 1, 0.6)]
    layers += [np.dstack([np.broadcast_to(colour[:3], (height, width, 3)), 0.9 * soft])
               for colour, soft in zip(colours, large)]
    drawn = "".join(f'<image data-map="{i}" href="{_data_uri(layer, "PNG")}" width="{width}" height="{height}" '
                    f'style="opacity:{int(i == 0)}"/>' for i, layer in enumerate(layers))
    block, cells = 4, []
    winner = large.argmax(0)
    for y in range(0, height, block):
        for x in range(0, width, block):
            part = int(winner[min(y + block // 2, height - 1), min(x + block // 2, width - 1)])
            cells.append(f'<rect data-part="{part}" x="{x}" y="{y}" width="{block}" height="{block}" '
                         f'fill="transparent"><title>{html.escape(names[part])}</title></rect>')
    return (f'<svg viewBox="0 0 {width} {height}" style="width:5.4em;margin:0.2em" role="img" '
            'aria-label="an image with its part maps">'
            f'<image href="{_data_uri(image, "JPEG")}" width="{width}" height="{height}"/>'
            f'{drawn}{"".join(cells)}</svg>')


def _data_uri(picture: np.ndarray, kind: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray((picture * 255).round().astype(np.uint8)).save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _as_script(texts: Sequence[str]) -> str:
    return json.dumps(list(texts)).replace("<", "\\u003c")  # a string may not end the script
