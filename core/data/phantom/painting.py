"""How each finding looks: its contribution to the layers of a radiograph.

Most findings reduce air: ``_fill`` replaces a share of the lung's air by water. So an opacity ends
at the lung's border and is fainter behind the heart, as in real images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.data.phantom.anatomy import LEFT
from core.data.phantom.canvas import Floats, Ink, Window, field, soft, window
from core.data.phantom.lesions import Lesion
from core.data.phantom.radiograph import Tissue


def paint(lesion: Lesion, tissue: Tissue) -> None:
    """Paint ``lesion`` into the layers of ``tissue``."""
    painter = _PAINTERS.get(lesion.finding)
    if painter is not None:
        painter(lesion, tissue, np.random.default_rng(lesion.site.texture_seed))


def _fill(tissue: Tissue, at: Window, share: Floats) -> None:
    """Replace this share of the air by water, and hide the vessels there."""
    aerated = 1.0 - np.clip(share, 0.0, 0.97)
    tissue.air_SS[at.at] *= aerated


def _around(lesion: Lesion, tissue: Tissue, margin: float = 0.0) -> tuple[Window, Floats, Floats]:
    """The pixels of the lesion's box, and their coordinates in it: -1 to 1 across and down."""
    at = window(tissue.full.shape[0], lesion.box, margin)
    x, y = lesion.box.centre
    return (
        at,
        (at.x_1W - x) * np.float32(2 / lesion.box.w),
        (at.y_H1 - y) * np.float32(2 / lesion.box.h),
    )


def _radius(across: Floats, down: Floats) -> Floats:
    return np.sqrt(across * across + down * down)


def _patches(rng: np.random.Generator, at: Window, lesion: Lesion, cell: float) -> Floats:
    return field(rng, at.shape, (lesion.box.w, lesion.box.h), cell)


def _round_opacity(lesion: Lesion, tissue: Tissue, *, density: float, border: float, lobes: float,
                   rng: np.random.Generator) -> None:  # fmt: skip
    at, across, down = _around(lesion, tissue)
    angle = np.arctan2(down, across)
    phases = rng.uniform(0, 2 * np.pi, 3)
    outline: Floats = np.full_like(angle, 0.88)
    for order, phase in zip((2, 3, 5), phases, strict=True):
        outline = outline + np.float32(lobes / order) * np.cos(order * angle + np.float32(phase))
    inside = outline - _radius(across, down)
    # A ball is thickest in the centre.
    ball = np.sqrt(np.clip(1.35 * inside + 0.12, 0.0, 1.0)) * soft(inside, border)
    _fill(tissue, at, density * ball)
    # The density beyond the lung's air keeps it visible in front of the heart.
    tissue.extra_SS[at.at] += np.float32(0.2 * density) * ball * tissue.lung_SS[at.at]


def _nodule(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    density = 0.2 + 0.24 * lesion.site.strength
    _round_opacity(lesion, tissue, density=density, border=0.16, lobes=0.05, rng=rng)


def _mass(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    density = 0.6 + 0.36 * lesion.site.strength
    _round_opacity(lesion, tissue, density=density, border=0.11, lobes=0.1, rng=rng)


def _infiltration(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    at, across, down = _around(lesion, tissue)
    haze = soft(0.8 - _radius(across, down), 0.28)
    clouds = 0.55 + 0.6 * soft(_patches(rng, at, lesion, 34), 1.1)
    _fill(tissue, at, (0.2 + 0.24 * lesion.site.strength) * haze * clouds)


def _pneumonia(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    at, across, down = _around(lesion, tissue)
    ragged = 0.82 + 0.11 * _patches(rng, at, lesion, 75)
    lobe = soft(ragged - _radius(across, down), 0.3)
    clouds = 0.74 + 0.3 * soft(_patches(rng, at, lesion, 30), 1.4)
    _fill(tissue, at, (0.42 + 0.26 * lesion.site.strength) * lobe * clouds)


def _consolidation(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    at, across, down = _around(lesion, tissue)
    # A sharp, slightly tilted fissure bounds it; elsewhere it fades.
    tilt, below = float(rng.normal(0, 0.12)), 1 if rng.random() < 0.5 else -1
    fissure = soft(0.72 + below * (down + tilt * across), 0.05)
    ragged = 0.9 + 0.1 * _patches(rng, at, lesion, 60)
    lobe = fissure * soft(ragged - _radius(across, 0.9 * down), 0.26)
    # An air bronchogram: bronchi that still contain air.
    ink = Ink(tissue.full.shape[0])
    x, y = lesion.box.centre
    start = x - lesion.site.side * 0.42 * lesion.box.w, y - 0.1 * lesion.box.h
    for turn in np.linspace(-0.8, 0.8, 5) + rng.normal(0, 0.1, 5):
        reach = 0.72 * lesion.box.w
        knee = (start[0] + lesion.site.side * 0.45 * reach * float(np.cos(turn)),
                start[1] + 0.45 * reach * float(np.sin(turn)))  # fmt: skip
        tip = (start[0] + lesion.site.side * reach * float(np.cos(1.3 * turn)),
               start[1] + reach * float(np.sin(1.3 * turn)))  # fmt: skip
        ink.stroke([start, knee], 10, 1.0)
        ink.stroke([knee, tip], 6, 0.7)
    bronchi = ink.layer()[at.at]
    clouds = 0.92 + 0.08 * _patches(rng, at, lesion, 40)
    density = 0.58 + 0.22 * lesion.site.strength
    _fill(tissue, at, density * lobe * clouds * (1.0 - 0.36 * bronchi))


def _edema(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    at, across, down = _around(lesion, tissue)
    # Bat wing: dense at the hilum, fading before the edge of the lung.
    outward = lesion.site.side * across
    wing = soft(0.62 - _radius(0.8 * (outward + 0.25), down), 0.4)
    clouds = 0.75 + 0.35 * soft(_patches(rng, at, lesion, 30), 1.0)
    _fill(tissue, at, (0.36 + 0.26 * lesion.site.strength) * wing * clouds)
    tissue.vessels_SS[at.at] *= 1.0 + 0.5 * wing


def _atelectasis(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    at, across, down = _around(lesion, tissue)
    outward = lesion.site.side * across
    slope = float(rng.uniform(0.25, 0.6)) * (1 if rng.random() < 0.7 else -1)
    bowed = down - slope * outward - 0.18 * across * across
    ends = soft(0.85 - np.abs(across), 0.15)
    if rng.random() < 0.6:  # plates
        thickness = float(rng.uniform(0.16, 0.28)) * (1.0 - 0.55 * across * across)
        band = soft(thickness - np.abs(bowed), 0.12)
        if rng.random() < 0.4:
            band = np.maximum(band, 0.8 * soft(0.6 * thickness - np.abs(bowed - 0.5), 0.1))
    else:  # a wedge, its tip towards the hilum
        band = soft(0.12 + 0.24 * (1 + outward) - np.abs(bowed), 0.1)
    _fill(tissue, at, (0.55 + 0.3 * lesion.site.strength) * band * ends)


def _effusion(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    at, _, _ = _around(lesion, tissue, margin=6)
    box, side, chest = lesion.box, lesion.site.side, tissue.chest
    wall = box.x + box.w if side == LEFT else box.x
    inward = np.clip(side * (wall - at.x_1W) / box.w, 0.0, 1.0)
    # The meniscus: highest at the chest wall, falling to the dome medially.
    height = box.h * (0.34 * (1 - inward**3) + 0.66 * (1 - inward) ** np.float32(2.4))
    dome = chest.dome(np.abs(at.x_1W - chest.centre_at(chest.dome_y(side))), side)
    level = np.maximum(dome - height, box.y + 4)
    fluid = soft(at.y_H1 - level, 9.0) * soft(1.0 - inward, 0.04)
    _fill(tissue, at, (0.86 + 0.1 * lesion.site.strength) * fluid)
    tissue.extra_SS[at.at] += np.float32(0.12) * fluid * tissue.lung_SS[at.at]


def _pneumothorax(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    at, _, _ = _around(lesion, tissue)
    box, side = lesion.box, lesion.site.side
    wall = box.x + box.w if side == LEFT else box.x
    inner = np.clip(1 - side * (wall - at.x_1W) / box.w, 0.0, 1.0)
    below = np.clip((box.y + box.h - at.y_H1) / box.h, 0.0, 1.2)
    # The collapsed lung's edge: an arc from the lower wall to just under the apex.
    to_edge = inner**1.05 + (below / 0.72) ** 1.05 - 1.0
    inside = tissue.lung_SS[at.at]
    gas = soft(to_edge, 0.03) * inside * soft(1.0 - np.abs(1 - inner), 0.05)
    gas = gas * (0.75 + 0.25 * lesion.site.strength)
    # Air fills the rim up to the wall, without vessels.
    air = tissue.air_SS[at.at]
    full = inside * np.float32(1.03 * tissue.chest.air)
    air += gas * np.maximum(full - air, 0.0)
    tissue.vessels_SS[at.at] *= 1.0 - gas
    line_width = 3.2 * (1 / box.w + 1 / box.h)
    line = np.clip(1.6 - np.abs(to_edge) * np.float32(1 / line_width), 0.0, 1.0)
    ends = soft(inner - 0.02, 0.02) * soft(below - 0.02, 0.02)
    tissue.extra_SS[at.at] += np.float32(0.1) * line * inside * ends


def _pleural_thickening(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    at, _, down = _around(lesion, tissue)
    side = lesion.site.side
    depth = tissue.layout.lateral_S1[at.rows] - side * tissue.layout.sideways_SS[at.at]
    uneven = 0.85 + 0.11 * field(rng, (at.shape[0], 1), (1.0, lesion.box.h), 80)
    thickness = lesion.site.w * uneven * soft(1.0 - np.abs(down), 0.12)
    band = soft(thickness - depth, 6.0) * soft(depth + 6, 6.0)
    density = 0.5 + 0.35 * lesion.site.strength
    _fill(tissue, at, density * band)
    tissue.extra_SS[at.at] += np.float32(0.08 * density) * band


def _fibrosis(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    at, across, down = _around(lesion, tissue)
    haze = soft(0.78 - _radius(across, down), 0.25)
    ink, box = Ink(tissue.full.shape[0]), lesion.box
    count = int(34 + 30 * lesion.site.strength)
    xs, ys = box.x + box.w * rng.random(count), box.y + box.h * rng.random(count)
    turns, lengths = rng.uniform(0, np.pi, count), rng.uniform(16, 46, count)
    for x, y, turn, length in zip(xs, ys, turns, lengths, strict=True):
        # A mesh of short kinked strands.
        dx, dy = length * float(np.cos(turn)), length * float(np.sin(turn))
        ink.stroke([(x - dx, y - dy), (x + 0.3 * dy, y - 0.3 * dx), (x + dx, y + dy)], 5, 0.8)
    strands = ink.layer()[at.at]
    strength = 0.55 + 0.45 * lesion.site.strength
    _fill(tissue, at, 0.16 * strength * haze)
    tissue.extra_SS[at.at] += 0.2 * strength * strands * haze * tissue.lung_SS[at.at]


def _hernia(lesion: Lesion, tissue: Tissue, rng: np.random.Generator) -> None:
    at, across, down = _around(lesion, tissue)
    inside = 0.92 - _radius(across, down)
    pouch = soft(inside, 0.09)
    level = float(rng.uniform(-0.25, 0.2))
    gas = pouch * soft(level - down, 0.05)
    rim = np.clip(1 - np.abs(inside - 0.03) * np.float32(1 / 0.07), 0.0, 1.0)
    strength = 0.7 + 0.3 * lesion.site.strength
    tissue.extra_SS[at.at] += strength * (0.22 * (pouch - gas) - 0.3 * gas + 0.1 * rim)


_PAINTERS: dict[str, Callable[[Lesion, Tissue, np.random.Generator], None]] = {
    # Cardiomegaly and Emphysema change the chest itself (core.data.phantom.lesions).
    "Atelectasis": _atelectasis,
    "Consolidation": _consolidation,
    "Edema": _edema,
    "Effusion": _effusion,
    "Fibrosis": _fibrosis,
    "Hernia": _hernia,
    "Infiltration": _infiltration,
    "Mass": _mass,
    "Nodule": _nodule,
    "Pleural_Thickening": _pleural_thickening,
    "Pneumonia": _pneumonia,
    "Pneumothorax": _pneumothorax,
}
