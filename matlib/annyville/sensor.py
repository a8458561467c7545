"""From light to a file: what a camera makes of it, and what is lost on the way."""

from __future__ import annotations

from functools import cache
from io import BytesIO

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from .camera import FRAME_HEIGHT, FRAME_WIDTH, Camera
from .crop import Crop


@cache
def _tone_curve(gamma: float) -> Float[np.ndarray, "4096"]:
    """Response to light x, tabulated over sqrt(x / 4): a shoulder, then the display's gamma."""
    x = 4 * np.linspace(0, 1, 4096) ** 2
    return (np.clip(x * (1 + 0.12 * x) / (1 + 0.32 * x**1.5), 0, 4) ** (gamma / 2.2)).astype(np.float32)


def expose(
    light: Float[np.ndarray, "3 h w"], camera: Camera, crop: Crop, drift: np.ndarray
) -> UInt8[np.ndarray, "h w 3"]:
    """What the camera makes of the light: gain, white balance, vignette, shoulder, gamma, contrast,
    saturation."""
    gain = camera.gain * np.array(camera.balance) * drift
    y = crop.top + (np.arange(crop.height) + 0.5) / crop.scale
    x = crop.left + (np.arange(crop.width) + 0.5) / crop.scale
    r2 = ((x / FRAME_WIDTH - 0.5) ** 2)[None] + ((y / FRAME_HEIGHT - 0.5) ** 2)[:, None]
    lens = (1 - 2 * camera.vignette * r2).astype(np.float32)
    curve = _tone_curve(camera.gamma)
    seen = np.empty((3, lens.size), np.float32)
    for channel in range(3):
        exposed = np.minimum(light[channel] * (lens * np.float32(gain[channel])), np.float32(3.99))
        level = np.sqrt(exposed, out=exposed).ravel() * np.float32(4095 / 2)
        seen[channel] = curve[level.astype(np.intp)]
    grey = np.array([0.299, 0.587, 0.114])
    mix = 255 * camera.contrast * (camera.saturation * np.eye(3) + (1 - camera.saturation) * grey)
    out = mix.astype(np.float32) @ seen + np.float32(255 * 0.45 * (1 - camera.contrast) + 0.5)
    np.clip(out, 0, 255, out=out)
    return np.ascontiguousarray(out.astype(np.uint8).T).reshape(crop.height, crop.width, 3)


def _box_radius(sigma: float) -> float:
    """Radius of the box blur with the spread `sigma`, in pixels."""
    return float((np.sqrt(12 * sigma**2 + 1) - 1) / 2)


def degrade(
    image: Image.Image, camera: Camera, native: float, size: tuple[int, int], rng: np.random.Generator
) -> bytes:
    """The way to the file: the box's own resolution, lens and motion blur, sharpening, noise, resizing,
    JPEG."""
    width, height = size
    rows = int(np.clip(native, 0.42 * height, image.height))
    blur = camera.blur * rng.uniform(0.5, 1.4)
    if rng.random() < 0.12:
        blur += rng.uniform(0.4, 0.9)
    small = image.resize((max(8, round(rows * width / height)), rows), Image.Resampling.HAMMING)
    small = small.filter(ImageFilter.BoxBlur(_box_radius(blur * rows / 256)))
    if rng.random() < 0.10:
        length = int(rng.integers(3, 6))
        kernel = np.zeros((5, 5))
        kernel[2, (5 - length) // 2 : (5 - length) // 2 + length] = 1
        small = small.filter(ImageFilter.Kernel((5, 5), kernel.ravel().tolist(), kernel.sum()))
    if rng.random() < 0.4:
        small = small.filter(ImageFilter.UnsharpMask(1.2, int(rng.uniform(30, 90)), 2))
    pixels = np.asarray(small, np.float32)
    sigma = 0.6 * camera.noise * rng.uniform(0.6, 1.3)
    grain = sigma * rng.standard_normal(pixels.shape[:2], np.float32)[..., None]
    rows_, columns_ = (pixels.shape[0] + 1) // 2, (pixels.shape[1] + 1) // 2
    tint = (
        0.8 * sigma * rng.standard_normal((rows_, columns_, 3), np.float32)
    )  # coarser, as sensors smooth colour
    grain = grain + tint.repeat(2, 0).repeat(2, 1)[: pixels.shape[0], : pixels.shape[1]]
    noisy = Image.fromarray(np.clip(np.round(pixels + grain), 0, 255).astype(np.uint8))
    out = noisy.resize(size, Image.Resampling.BICUBIC) if noisy.size != size else noisy
    stream = BytesIO()
    out.save(stream, "JPEG", quality=int(rng.integers(*camera.quality)), subsampling=2)
    return stream.getvalue()
