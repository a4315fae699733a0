"""What the scanner adds: blur, correlated noise, beam hardening, metal streaks.

Beam hardening and metal follow the physics: the error of a reconstruction is the back-projection of what the detector
got wrong, and for bone that is about the square of the projected bone (Joseph and Spital,
doi:10.1097/00004728-197801000-00017).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data.phantom_mark import mark_grey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.ct import CtSpec
    from osteon_phantoms.shapes import F32

__all__ = ["add_noise", "blur", "hardening_error", "scan", "stored"]

_VIEWS: Final = 72
_ORDINARY_MM: Final = 0.5
_EDGE_MM: Final = 1.3
_EDGE_GAIN: Final = 0.45
_METAL_HU: Final = 2500.0


def blur(hu: F32, *, sigma_px: tuple[float, float]) -> F32:
    """The in-plane point spread of a soft reconstruction kernel; sigma along (row, column)."""
    import cv2

    if max(sigma_px) < 0.15:
        return hu
    blurred = cv2.GaussianBlur(
        hu, (0, 0), sigmaX=max(sigma_px[1], 0.1), sigmaY=max(sigma_px[0], 0.1), borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(blurred, dtype=np.float32)


def _reconstruct(hu: F32, *, sharpness: float, pixel_mm: tuple[float, float]) -> F32:
    """What the kernel makes of a slice; a sharp one lets edges overshoot."""
    sigma_mm = _ORDINARY_MM + 0.9 * max(-sharpness, 0.0)
    smooth = blur(hu, sigma_px=(sigma_mm / pixel_mm[0], sigma_mm / pixel_mm[1]))
    if sharpness <= 0:
        return smooth
    wide = blur(hu, sigma_px=(_EDGE_MM / pixel_mm[0], _EDGE_MM / pixel_mm[1]))
    return np.asarray(smooth + np.float32(_EDGE_GAIN * sharpness) * (smooth - wide), dtype=np.float32)


def scan(hu: F32, spec: CtSpec, *, pixel_mm: tuple[float, float], generator: np.random.Generator) -> NDArray[np.int16]:
    """What a scanner stores of one slice, beam hardening aside: kernel, noise, calibration.

    Args:
        hu: (row, column).
        spec: kernel, noise and calibration.
        pixel_mm: (row, column) spacing.
        generator: draws the noise.
    """
    taken = _reconstruct(hu, sharpness=spec.kernel_sharpness, pixel_mm=pixel_mm)
    correlation_px = (0.6 - 0.3 * spec.kernel_sharpness) / pixel_mm[1] + 0.25
    add_noise(taken, sigma_hu=spec.noise_hu, correlation_px=correlation_px, generator=generator)
    if spec.hu_scale != 1 or spec.hu_offset:
        taken = (taken + 1000) * np.float32(spec.hu_scale) + np.float32(spec.hu_offset - 1000)
    return stored(taken)


def stored(hu: F32) -> NDArray[np.int16]:
    """HU as files hold them, with the mark of a phantom."""
    found = np.rint(np.clip(hu, -1024, 3071)).astype(np.int16)
    mark_grey(found)
    return found


def add_noise(hu: F32, *, sigma_hu: float, correlation_px: float, generator: np.random.Generator) -> None:
    """Add the grainy noise of filtered back-projection in place.

    It is correlated over neighbours and lacks the lowest frequencies.
    """
    if sigma_hu <= 0:
        return
    import cv2

    white = generator.standard_normal(hu.shape, dtype=np.float32)
    narrow = cv2.GaussianBlur(white, (0, 0), sigmaX=max(correlation_px, 0.3))
    wide = cv2.GaussianBlur(narrow, (0, 0), sigmaX=max(2.2 * correlation_px, 0.6))
    grain = narrow - np.float32(0.8) * wide
    grain *= np.float32(sigma_hu) / max(float(grain[::4, ::4].std()), 1e-6)
    body = np.clip((hu + 1000) / 1000, 0, 1.3)
    small = cv2.resize(body, (max(hu.shape[1] // 8, 1), max(hu.shape[0] // 8, 1)), interpolation=cv2.INTER_AREA)
    thick = cv2.GaussianBlur(small, (0, 0), sigmaX=max(small.shape[1] * 0.06, 0.5))
    amount = 0.45 + 0.75 * cv2.resize(thick, (hu.shape[1], hu.shape[0]), interpolation=cv2.INTER_LINEAR)
    hu += grain * amount


def hardening_error(hu: F32, *, pixel_mm: float, strength: float, side_px: int = 128) -> F32:
    """What beam hardening and metal add to one slice, in HU.

    Args:
        hu: (row, column) without artefacts.
        pixel_mm: pixel size.
        strength: 0 none, 1 as an ordinary scanner.
        side_px: the error is smooth, so it is computed on a coarser square of this size (metal: twice).

    Returns:
        (row, column) HU to add.
    """
    import cv2

    dense = np.clip(hu - 150, 0, 1600)
    metal = np.clip(hu - _METAL_HU, 0, 6000)
    has_metal = bool(metal.any())
    side = side_px * 2 if has_metal else side_px
    step_mm = pixel_mm * max(hu.shape) / side
    error = np.zeros((side, side), dtype=np.float32)
    if strength > 0 and dense.any():
        lines = _project(_square(dense, side)) * np.float32(step_mm / 1000)
        error += np.float32(strength) * _back_project(-np.float32(0.005) * lines * lines) * np.float32(1000 / step_mm)
    if has_metal:
        lines = _project(_square(metal, side)) * np.float32(step_mm / 1000)
        lost = -np.float32(0.06) * lines * np.power(lines + 1, np.float32(0.3))
        grain = np.random.default_rng(round(float(lines.sum()))).standard_normal(lines.shape, dtype=np.float32)
        lost += np.float32(0.08) * grain * np.sqrt(np.maximum(lines, 0)) * (lines > 1)
        error += _back_project(lost) * np.float32(1000 / step_mm)
    longest = max(hu.shape)
    full = cv2.resize(error, (longest, longest), interpolation=cv2.INTER_LINEAR)
    top, left = (longest - hu.shape[0]) // 2, (longest - hu.shape[1]) // 2
    return np.asarray(full[top : top + hu.shape[0], left : left + hu.shape[1]], dtype=np.float32)


def _square(image: F32, side: int) -> F32:
    """The image in the middle of a square, averaged down."""
    import cv2

    longest = max(image.shape)
    above, left = (longest - image.shape[0]) // 2, (longest - image.shape[1]) // 2
    below, right = longest - image.shape[0] - above, longest - image.shape[1] - left
    padded = np.pad(image, ((above, below), (left, right))) if longest != min(image.shape) else image
    return np.asarray(cv2.resize(padded, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _turn(image: F32, degrees: float) -> F32:
    import cv2

    side = image.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR))


def _project(image: F32) -> F32:
    """(view, detector) line sums over half a turn, in pixels."""
    return np.stack([_turn(image, 180.0 * k / _VIEWS).sum(axis=0) for k in range(_VIEWS)])


def _back_project(lines: F32) -> F32:
    """Filtered back-projection (ramp with a Hann window) of (view, detector) lines."""
    from scipy import fft

    side = lines.shape[1]
    size = fft.next_fast_len(2 * side)
    frequency = fft.rfftfreq(size)
    ramp = (2 * frequency * (0.5 + 0.5 * np.cos(2 * np.pi * frequency))).astype(np.float32)
    filtered = fft.irfft(fft.rfft(lines, n=size, axis=1) * ramp, n=size, axis=1)[:, :side].astype(np.float32)
    total = np.zeros((side, side), dtype=np.float32)
    for k, row in enumerate(filtered):
        total += _turn(np.broadcast_to(row, (side, side)).copy(), -180.0 * k / _VIEWS)
    return np.asarray(total * np.float32(np.pi / (2 * _VIEWS)))
