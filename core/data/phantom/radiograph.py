"""From a chest to grey values: tissue depth along the ray, then the detector's response.

Layers add up as in a radiograph: a body of depth 1, minus the air of the lungs, plus bones, vessels
and metal. ``expose`` turns depth into grey by 1 - exp(-k depth), so that dense regions saturate as
on a real image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.data.phantom.anatomy import LEFT, RIGHT, SIDES, Chest, Layout
from core.data.phantom.canvas import UNITS, Floats, Ink, Point, Window, curve, field, soft, window


@dataclass
class Tissue:
    """The layers of one image, (S, S) each, in body depths; lesions are painted into them."""

    chest: Chest
    full: Window
    layout: Layout
    body_SS: Floats  # soft tissue of trunk and arms
    air_SS: Floats  # depth of air in the lungs
    lung_SS: Floats  # the lungs' outline, 0 to 1
    vessels_SS: Floats  # vessels and other markings that only aerated lung has
    bones_SS: Floats
    extra_SS: Floats  # what lesions add or remove


def normal_tissue(chest: Chest, size_px: int, patient_rng: np.random.Generator) -> Tissue:
    """A chest without findings. Draws from ``patient_rng`` are the same for all images of a
    patient."""
    full = window(size_px)
    layout = Layout.of(chest, full)
    lung_SS = soft(layout.into_lung_SS, 7.0)
    heart_SS = soft(layout.into_heart_SS, 9.0)
    # Air is deepest a hand's breadth inside the chest wall, and thin along it.
    depth_SS = np.sqrt(np.clip(layout.into_lung_SS * np.float32(1 / 115), 0.0, 1.0))
    air_SS = lung_SS * (0.38 + 0.62 * depth_SS) * (chest.air * (1.0 - 0.8 * heart_SS))
    tissue = Tissue(
        chest=chest,
        full=full,
        layout=layout,
        body_SS=_body(chest, full, layout),
        air_SS=air_SS,
        lung_SS=lung_SS,
        vessels_SS=_vessels(chest, size_px, patient_rng) * chest.vessels,
        bones_SS=_ribs(chest, full, layout) + _long_bones(chest, size_px),
        extra_SS=_midline(chest, full, layout, heart_SS) + _belly(chest, full, layout),
    )
    return tissue


def _body(chest: Chest, full: Window, layout: Layout) -> Floats:
    """Neck, shoulders, trunk, arms and breasts."""
    y_S1, distance_SS = full.y_H1, layout.distance_SS
    shoulder = chest.shoulder_y
    trunk = chest.half_width + chest.wall
    neck = 88 + 0.35 * chest.wall
    heights = [0, shoulder - 110, shoulder - 62, shoulder - 14, shoulder + 24, 420, 640, UNITS]
    widths = [neck, neck + 14, neck + 95, 0.72 * trunk, 0.98 * trunk, trunk, 0.97 * trunk,
              trunk + 0.3 * chest.wall]  # fmt: skip
    edge_S1 = curve(heights, widths, y_S1)
    into_SS = edge_S1 - distance_SS
    # Round in cross-section: thin at the edge, depth 1 well inside.
    body_SS = np.sqrt(np.clip(into_SS * np.float32(1 / 210), 0.0, 1.0)) * soft(into_SS, 5.0)
    thin_S1 = curve([0, shoulder - 40, shoulder + 110, 430], [0.6, 0.66, 0.88, 1.0], y_S1)
    body_SS *= thin_S1
    # An upper arm on each side: a band from the shoulder down and outward.
    arm_S1 = curve(*_arm_axis(chest), y_S1)
    arm = 70 + 0.45 * chest.wall
    # The shoulder rounds off the top of the arm.
    cap_S1 = np.sqrt(np.clip((y_S1 - shoulder + 25) * np.float32(1 / 95), 0.0, 1.0))
    arm_SS = 1.0 - np.abs(distance_SS - arm_S1) * (1 / np.maximum(arm * cap_S1, 1e-3))
    arm_SS = 0.56 * np.sqrt(np.clip(arm_SS, 0, 1)) * (cap_S1 > 0)
    np.maximum(body_SS, arm_SS, out=body_SS)
    if chest.breast:
        # A crescent, sharp at the bottom and fading upward.
        off_SS = (distance_SS - 0.62 * chest.half_width) * np.float32(1 / (0.6 * chest.half_width))
        height_SS = chest.dome_right_y + 20 - 95 * off_SS**2 - y_S1
        breast_SS = soft(height_SS, 9.0) * np.clip(1 - height_SS * np.float32(1 / 270), 0, 1)
        body_SS += chest.breast * breast_SS * soft(1 - np.abs(off_SS), 0.3)
    return body_SS


def _arm_axis(chest: Chest) -> tuple[list[float], list[float]]:
    """The humerus: some heights, and its distance from the spine there."""
    top, trunk = chest.shoulder_y, chest.half_width + chest.wall
    out = 20 + 170 * chest.arms_out
    return [top, top + 60, top + 560, top + 1060], [
        0.97 * trunk, 0.98 * trunk + 14, 0.98 * trunk + out + 30, 0.98 * trunk + 2 * out + 50
    ]  # fmt: skip


def _ribs(chest: Chest, full: Window, layout: Layout) -> Floats:
    """All ribs together: parallel arcs, drawn by one sawtooth over the height."""
    y_S1, lateral_S1 = full.y_H1, np.maximum(layout.lateral_S1, 60.0) + 16
    across_SS = layout.distance_SS / lateral_S1
    inside_SS = soft(1.0 - across_SS, 0.025)
    spacing, first = chest.rib_spacing, chest.rib_first_y
    bow_SS = across_SS * across_SS
    # Posterior: from the spine slightly up, then steeply down at the side.
    behind_SS = y_S1 - first - chest.rib_slope * bow_SS * across_SS + 34 * across_SS
    # Anterior: from the side down towards the sternum, ending in cartilage.
    front_SS = y_S1 - first - 84 - chest.rib_slope - 150 * (1.0 - across_SS) + 60 * bow_SS
    ribs_SS: Floats = 0.105 * _arcs(behind_SS, spacing, 0.18, 11) * soft(across_SS - 0.14, 0.06)
    ribs_SS += 0.055 * _arcs(front_SS, spacing, 0.24, 8) * soft(across_SS - 0.42, 0.2)
    # At the side, the ray runs along the rib, which looks denser.
    ribs_SS *= (1.0 + 0.9 * bow_SS**4) * inside_SS
    ribs_SS *= 1.0 - 0.75 * soft(y_S1 - layout.dome_SS, 14.0)
    ribs_SS *= chest.bone
    return ribs_SS


def _arcs(height_SS: Floats, spacing: float, half_width: float, count: int) -> Floats:
    """Bands every ``spacing``, brighter at their edges, the first ``count`` below 0."""
    turn_SS = height_SS * np.float32(1 / spacing)
    off_SS = np.abs(turn_SS - np.rint(turn_SS))
    band_SS: Floats = soft(half_width - off_SS, 0.045) * (0.6 + 0.4 * (off_SS / half_width) ** 2)
    band_SS *= (turn_SS > -0.5) & (turn_SS < count - 0.5)
    return band_SS


def _long_bones(chest: Chest, size_px: int) -> Floats:
    """Clavicles, scapulae and humeri."""
    ink = Ink(size_px)
    for side in SIDES:
        x0 = chest.centre_at(chest.clavicle_y)

        def at(distance: float, y: float, x0: float = x0, side: int = side) -> Point:
            return x0 + side * distance, y

        blade_y, blade = chest.shoulder_y + 110, 0.86 * chest.half_width
        blade_line = [at(blade + 60, blade_y - 60), at(blade + 6, blade_y + 60),
                      at(blade + 22, blade_y + 250), at(blade + 74, blade_y + 60)]  # fmt: skip
        ink.shape(blade_line, 0.14)
        ink.stroke([*blade_line[1:], blade_line[0]], 9, 0.26)
        heights, reaches = _arm_axis(chest)
        shaft = [at(reach, y + 30) for y, reach in zip(heights, reaches, strict=True)]
        ink.stroke(shaft, 40, 0.62)
        ink.stroke(shaft, 22, 0.42)
        ink.disc(at(reaches[0] - 14, chest.shoulder_y + 46), 37, 0.6)
        collar, reach = [], 0.9 * chest.half_width
        for step in np.linspace(0, 1, 9):
            sway = 14 * np.sin(2 * np.pi * step)
            rise = chest.clavicle_slope * step * reach
            collar.append(at(34 + step * reach, chest.clavicle_y + sway + rise))
        ink.stroke(collar, 27, 0.62)
        ink.stroke(collar, 15, 0.46)
    return ink.layer() * np.float32(0.27 * chest.bone)


def _vessels(chest: Chest, size_px: int, rng: np.random.Generator) -> Floats:
    """Arteries and veins that leave the hila, fork and thin out."""
    ink = Ink(size_px)
    full = window(size_px)
    hila_SS = np.zeros((size_px, size_px), np.float32)
    strokes: list[tuple[list[Point], float]] = []
    for side in SIDES:
        hilum = chest.lung_point(side, 0.13, 0.5 if side == RIGHT else 0.46)
        for slope in np.linspace(-1.45, 1.5, 9) + rng.normal(0, 0.1, 9):
            reach = 250 if abs(slope) < 0.8 else 310
            strokes += _branch(rng, hilum, float(slope), reach, 9.0, side)
        # The lower lobe artery, the largest hilar shadow.
        strokes += _branch(rng, hilum, 1.25, 230, 19.0, side)
        across_SS = ((full.x_1W - hilum[0] + side * 10) / 40) ** 2 + (
            (full.y_H1 - hilum[1]) / 72
        ) ** 2
        hila_SS += np.clip(1 - across_SS * np.float32(0.5), 0, 1)
    for points, width in sorted(strokes, key=lambda stroke: stroke[1]):
        ink.stroke(points, width, min(0.26 + 0.035 * width, 0.6))
    return ink.layer() * np.float32(0.27) + 0.1 * hila_SS * hila_SS


def _branch(
    rng: np.random.Generator, start: Point, slope: float, reach: float, width: float, side: int
) -> list[tuple[list[Point], float]]:
    """One vessel and its twigs; ``slope`` is its angle from the horizontal, in radians."""
    steps = 5
    strokes: list[tuple[list[Point], float]] = []
    bends, forks = rng.normal(0, 0.16, steps), rng.normal(0, 1, steps)
    (x, y), length = start, reach / steps
    for step in range(steps):
        slope = slope * 0.95 + float(bends[step])
        end = (x + side * length * float(np.cos(slope)), y + length * float(np.sin(slope)))
        strokes.append(([(x, y), end], width))
        if step and width > 2.4:
            turn = 0.6 if forks[step] > 0 else -0.6
            strokes += _branch(rng, end, slope + turn, 0.52 * reach * (1 - step / 8), 0.45 * width,
                               side)  # fmt: skip
        (x, y), width = end, width * 0.74
    return strokes


def _midline(chest: Chest, full: Window, layout: Layout, heart_SS: Floats) -> Floats:
    """Heart, spine and trachea."""
    y_S1, distance_SS = full.y_H1, layout.distance_SS
    below_SS = soft(layout.dome_SS - y_S1, 30.0)
    deep_SS = np.clip(layout.into_heart_SS * np.float32(1 / 110), 0, 1)
    extra_SS: Floats = 0.1 * heart_SS * deep_SS * below_SS
    column_SS = soft(43 - distance_SS, 7.0)
    turn_S1 = np.abs((y_S1 / 58) - np.rint(y_S1 / 58))
    bodies_S1 = 0.85 + 0.3 * soft(0.42 - turn_S1, 0.07)
    # Above the heart: aortic arch, great vessels and sternum.
    extra_SS += 0.16 * heart_SS * soft(chest.heart_top_y - 30 - y_S1, 90.0)
    extra_SS += column_SS * (bodies_S1 * np.float32(0.15 * chest.spine))
    edge_SS = 1 - np.abs(distance_SS - 40) * np.float32(1 / 7)
    extra_SS += np.float32(0.035 * chest.spine) * np.clip(edge_SS, 0, 1)
    pipe_S1 = soft(chest.apex_y + 215 - y_S1, 26.0)
    extra_SS -= 0.15 * pipe_S1 * soft(19 - np.abs(layout.sideways_SS + 4), 7.0)
    # The two main bronchi, from the carina down and outward.
    fork_SS = y_S1 - chest.apex_y - 195 - 0.85 * distance_SS
    bronchi_SS = np.clip(1 - np.abs(fork_SS) * np.float32(1 / 19), 0, 1)
    extra_SS -= 0.05 * bronchi_SS * soft(92 - distance_SS, 24.0)
    return extra_SS


def _belly(chest: Chest, full: Window, layout: Layout) -> Floats:
    """Liver and abdomen below the diaphragm, with the gastric air bubble."""
    y_S1, x_1S = full.y_H1, full.x_1W
    belly_SS = (
        0.17
        * soft(y_S1 - layout.dome_SS, 12.0)
        * soft(layout.lateral_S1 + 10 - layout.distance_SS, 22.0)
    )
    size = chest.stomach_size
    if size > 14:
        x = chest.centre_at(chest.dome_left_y) + chest.stomach_x * chest.half_width
        y = chest.dome_left_y + 34 + 0.62 * size
        ball_SS = ((x_1S - x) / (1.5 * size)) ** 2 + ((y_S1 - y) / (0.6 * size)) ** 2
        belly_SS -= 0.34 * soft(1 - ball_SS, 0.22)
    return belly_SS


def expose(tissue: Tissue, rng: np.random.Generator, *, view: str) -> Floats:
    """Depth to grey values (S, S), 0 to 255: beam, scatter, curve, blur and noise."""
    size_px = tissue.full.shape[0]
    supine = view == "AP"
    lung_texture_SS = field(rng, tissue.full.shape, (UNITS, UNITS), 26) * np.float32(0.022)
    aerated_SS = tissue.air_SS * np.float32(1 / 0.6)
    depth_SS = tissue.body_SS - tissue.air_SS + tissue.bones_SS + tissue.extra_SS
    depth_SS += aerated_SS * (tissue.vessels_SS + lung_texture_SS)
    drift_SS = field(rng, tissue.full.shape, (UNITS, UNITS), 420) * np.float32(0.018)
    np.maximum(depth_SS * (1 + drift_SS), 0, out=depth_SS)
    # Portable images are less evenly exposed, and scatter makes the lungs grey.
    k = float(rng.lognormal(np.log(1.72), 0.15 if supine else 0.1))
    grey_SS = 1.0 - np.exp(depth_SS * np.float32(-k))
    veil = float(rng.uniform(0.02, 0.09)) if supine else float(rng.uniform(0.0, 0.03))
    white = float(rng.normal(246, 8))
    grey_SS = (grey_SS * (1 - veil) + veil) * np.float32(white)
    level = float(rng.lognormal(np.log(2.3 if supine else 1.7), 0.3))
    # Few photons pass where the body is deep, but the curve is flat there, so noise is similar.
    level *= float(np.sqrt(size_px / 256)) if size_px < 256 else 1.0
    grey_SS += rng.standard_normal(grey_SS.shape, dtype=np.float32) * np.float32(level)
    return grey_SS


def add_marks(tissue: Tissue, rng: np.random.Generator, *, view: str) -> None:
    """The side marker and, on AP images, some lines and tubes; none of them is a finding."""
    ink = Ink(tissue.full.shape[0])
    chest = tissue.chest
    x, y = float(rng.uniform(880, 960)), float(rng.uniform(40, 150))
    size, lean = float(rng.uniform(26, 40)), float(rng.normal(0, 0.15))
    upright = (size * np.sin(lean), -size * np.cos(lean))
    foot = (0.6 * size * np.cos(lean), 0.6 * size * np.sin(lean))
    marker = [(x + upright[0], y + upright[1]), (x, y), (x + foot[0], y + foot[1])]
    ink.stroke(marker, 8, 0.95)
    if view == "AP":
        _tubes(ink, chest, rng)
    tissue.extra_SS += ink.layer()


def _tubes(ink: Ink, chest: Chest, rng: np.random.Generator) -> None:
    chances = rng.random(4)
    if chances[0] < 0.35:  # endotracheal tube, its tip above the carina
        tip = chest.apex_y + float(rng.uniform(90, 170))
        ink.stroke([(chest.centre_at(0) + 8, 0), (chest.centre_at(tip) - 3, tip)], 8, 0.2)
    if chances[1] < 0.4:  # central venous line, from the neck into the vena cava
        side = RIGHT if rng.random() < 0.8 else LEFT
        neck = (chest.centre_at(60) + side * 90, 40.0)
        knee = (chest.centre_at(300) - 60, chest.apex_y + 120)
        ink.stroke([neck, (neck[0] - side * 20, 120), knee, (knee[0] - 4, knee[1] + 150)], 5, 0.25)
    if chances[2] < 0.25:  # gastric tube
        line = [
            (chest.centre_at(d) + 6 + 10 * float(np.sin(d / 130)), d) for d in range(0, 800, 80)
        ]
        ink.stroke([*line, (line[-1][0] + 90, 850)], 6, 0.22)
    if chances[3] < 0.5:  # ECG electrodes and wires
        for _ in range(int(rng.integers(1, 4))):
            x, y = float(rng.uniform(180, 850)), float(rng.uniform(160, 640))
            away = x + float(rng.normal(0, 140))
            ink.stroke([(x, y), (0.5 * x + 0.5 * away + 40, y + 180), (away, UNITS)], 4, 0.22)
            ink.disc((x, y), 11, 0.4)
