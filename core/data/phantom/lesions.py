"""Where each finding is, how large, and how it alters the whole chest.

A *site* belongs to a patient and persists between follow-ups; a *lesion* is that site on one image,
with its box. Sizes are distributed around the median boxes of NIH's box table, so that findings are
as hard to see at a small input size as in NIH.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.data.phantom.anatomy import LEFT, RIGHT, SIDES, Chest
from core.data.phantom.canvas import Box


@dataclass(frozen=True)
class Size:
    """Size of a finding's box, in units: a lognormal distribution, truncated at both ends."""

    median_w: float
    median_h: float
    spread: float  # of both sides together, as a standard deviation of the logarithm
    skew: float  # of their ratio
    least: float
    most_w: float
    most_h: float


SIZES: dict[str, Size] = {
    # NIH's medians, for the eight findings with boxes.
    "Nodule": Size(70, 68, 0.19, 0.07, 40, 90, 90),
    "Mass": Size(120, 141, 0.22, 0.11, 92, 250, 280),
    "Atelectasis": Size(171, 118, 0.2, 0.14, 60, 290, 240),
    "Pneumothorax": Size(201, 206, 0.22, 0.18, 100, 285, 540),
    "Effusion": Size(208, 277, 0.28, 0.14, 90, 300, 600),
    "Infiltration": Size(228, 265, 0.2, 0.12, 110, 300, 480),
    "Pneumonia": Size(229, 275, 0.2, 0.12, 110, 300, 480),
    "Cardiomegaly": Size(478, 382, 0.06, 0.06, 250, 590, 470),
    # The others, from their extent.
    "Consolidation": Size(225, 250, 0.18, 0.1, 120, 300, 420),
    "Edema": Size(215, 350, 0.1, 0.06, 140, 270, 460),
    "Fibrosis": Size(235, 220, 0.15, 0.1, 120, 300, 380),
    "Pleural_Thickening": Size(34, 290, 0.22, 0.15, 20, 62, 480),
    "Hernia": Size(165, 140, 0.15, 0.06, 100, 230, 210),
}

DRAWING_ORDER: tuple[str, ...] = (
    "Cardiomegaly",
    "Emphysema",
    "Hernia",
    "Effusion",
    "Pneumothorax",
    "Pleural_Thickening",
    "Edema",
    "Fibrosis",
    "Consolidation",
    "Pneumonia",
    "Infiltration",
    "Atelectasis",
    "Mass",
    "Nodule",
)
"""Findings with a fixed location come first; the others avoid them."""

_ALWAYS_BOTH_SIDES = {"Edema", "Emphysema", "Fibrosis"}
_BOTH_SIDES_AT_TIMES = {"Effusion": 0.28}
# Where in the lung the centre may be: across (from the heart outward), down (to the dome). The
# heights of masses span the middle 80 % of NIH's mass boxes.
_ZONES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "Nodule": ((0.12, 0.86), (0.22, 0.92)),
    "Mass": ((0.3, 0.82), (0.32, 0.86)),
    "Atelectasis": ((0.25, 0.7), (0.62, 0.9)),
    "Infiltration": ((0.35, 0.65), (0.3, 0.78)),
    "Pneumonia": ((0.35, 0.65), (0.35, 0.78)),
    "Consolidation": ((0.4, 0.6), (0.3, 0.72)),
    "Edema": ((0.42, 0.48), (0.48, 0.54)),
    "Fibrosis": ((0.45, 0.6), (0.78, 0.88)),
    "Pleural_Thickening": ((1.0, 1.0), (0.4, 0.66)),
}


@dataclass(frozen=True)
class Site:
    """A patient's finding: side, location in the lung, size, density."""

    finding: str
    side: int
    across: float
    down: float
    w: float
    h: float
    strength: float  # 0 (hardly visible) to 1
    texture_seed: int


@dataclass(frozen=True)
class Lesion:
    """A site on one image."""

    site: Site
    box: Box  # as painted, and as in the truth table and the box table

    @property
    def finding(self) -> str:
        """The name of the finding."""
        return self.site.finding


def draw_sites(
    findings: Sequence[str], chest: Chest, rng_of_finding: dict[str, np.random.Generator]
) -> tuple[Site, ...]:
    """The sites of all findings that a patient ever has, kept apart if possible.

    Each finding's sites come from its own generator.
    """
    sites: list[Site] = []
    taken: list[Box] = []
    for finding in DRAWING_ORDER:
        if finding not in findings:
            continue
        rng = rng_of_finding[finding]
        sides = _draw_sides(finding, rng)
        for side in sides:
            tries = [_draw_site(finding, side, rng) for _ in range(6 if len(sides) == 1 else 1)]
            boxes = [box_on(site, chest) for site in tries]
            crowding = [sum(box.overlap(other) for other in taken) for box in boxes]
            # The first site with enough space, or else the least crowded one.
            best = int(np.argmin(np.round(crowding, 1)))
            sites.append(tries[best])
            if finding not in ("Cardiomegaly", "Emphysema"):
                taken.append(boxes[best])
    return tuple(sites)


def _draw_sides(finding: str, rng: np.random.Generator) -> tuple[int, ...]:
    both = _BOTH_SIDES_AT_TIMES.get(finding, 1.0 if finding in _ALWAYS_BOTH_SIDES else 0.0)
    if rng.random() < both:
        return SIDES
    if finding in ("Cardiomegaly", "Hernia"):
        return (LEFT,)
    return (RIGHT,) if rng.random() < 0.54 else (LEFT,)


def _draw_site(finding: str, side: int, rng: np.random.Generator) -> Site:
    # Attempts also vary the side, so that a crowded lung can be avoided.
    if finding not in _ALWAYS_BOTH_SIDES and finding not in ("Cardiomegaly", "Hernia", "Effusion"):
        side = side if rng.random() < 0.6 else -side
    w = h = 0.0
    if finding in SIZES:
        size = SIZES[finding]
        both, ratio = size.spread * rng.standard_normal(), size.skew * rng.standard_normal()
        w = float(np.clip(size.median_w * np.exp(both + ratio), size.least, size.most_w))
        h = float(np.clip(size.median_h * np.exp(both - ratio), size.least, size.most_h))
    (across_low, across_high), (down_low, down_high) = _ZONES.get(finding, ((0, 1), (0, 1)))
    return Site(
        finding=finding,
        side=side,
        across=float(rng.uniform(across_low, across_high)),
        down=float(rng.uniform(down_low, down_high)),
        w=w,
        h=h,
        strength=float(rng.beta(2.2, 1.8)),
        texture_seed=int(rng.integers(2**31)),
    )


def followed_up(site: Site, rng: np.random.Generator) -> Site:
    """The site at another visit: a little larger or smaller, denser or fainter, and shifted."""
    grown = float(rng.lognormal(0, 0.05))
    shift_x, shift_y = rng.normal(0, 0.045, 2)
    return replace(
        site,
        w=site.w * grown,
        h=site.h * grown,
        across=float(np.clip(site.across + shift_x, 0.0, 1.0)),
        down=float(np.clip(site.down + shift_y, 0.0, 1.0)),
        strength=float(np.clip(site.strength + rng.normal(0, 0.1), 0.0, 1.0)),
    )


def altered(chest: Chest, sites: Sequence[Site]) -> Chest:
    """The chest as altered by findings: wide hearts, flat domes, lost volume."""
    for site in sites:
        if site.finding == "Cardiomegaly":
            chest = _with_wide_heart(chest, site)
        elif site.finding == "Emphysema":
            chest = _hyperinflated(chest, site)
        elif site.finding == "Atelectasis":
            chest = _with_raised_dome(chest, site.side, 18 + 42 * site.strength)
        elif site.finding == "Fibrosis":
            chest = _with_raised_dome(chest, site.side, 6 + 14 * site.strength)
    return chest


def _with_wide_heart(chest: Chest, site: Site) -> Chest:
    # Cardiomegaly means a cardiothoracic ratio above 0.5; a little more here, so that it holds on
    # AP images too, where the inner chest looks wider.
    inner = 2 * chest.half_width
    width = float(np.clip(site.w, 0.53 * inner, 0.76 * inner))
    left = min((0.63 + 0.06 * site.across) * width, chest.half_width - 22)
    return replace(
        chest,
        heart_left=left,
        heart_right=width - left,
        heart_top_y=chest.heart_bottom_y - site.h,
        mediastinum=chest.mediastinum * 1.1,
    )


def _hyperinflated(chest: Chest, site: Site) -> Chest:
    # Two sites, one per lung: half the change each.
    much = 0.5 + 0.5 * site.strength
    deeper = 24 * much
    return replace(
        chest,
        dome_right_y=chest.dome_right_y + deeper,
        dome_left_y=chest.dome_left_y + deeper,
        heart_bottom_y=chest.heart_bottom_y + 0.8 * deeper,
        dome_drop=chest.dome_drop * (1 - 0.36 * much),
        heart_left=chest.heart_left * (1 - 0.09 * much),
        heart_right=chest.heart_right * (1 - 0.09 * much),
        mediastinum=chest.mediastinum * (1 - 0.05 * much),
        air=chest.air * (1 + 0.045 * much),
        vessels=chest.vessels * (1 - 0.24 * much),
        rib_spacing=chest.rib_spacing * (1 + 0.035 * much),
        rib_slope=chest.rib_slope * (1 - 0.16 * much),
    )


def _with_raised_dome(chest: Chest, side: int, rise: float) -> Chest:
    if side == RIGHT:
        return replace(chest, dome_right_y=chest.dome_right_y - rise)
    return replace(
        chest,
        dome_left_y=chest.dome_left_y - rise,
        heart_bottom_y=chest.heart_bottom_y - 0.6 * rise,
    )


def box_on(site: Site, chest: Chest) -> Box:
    """The box of ``site`` on a chest that is already ``altered``."""
    side, w, h = site.side, site.w, site.h
    if site.finding == "Cardiomegaly":
        return chest.heart_box().clipped()
    if site.finding == "Emphysema":
        return chest.lung_box(side).clipped()
    if site.finding == "Effusion":
        bottom = chest.dome_y(side) + 0.95 * chest.dome_drop
        return _against_wall(chest.wall_x(side, bottom), side, bottom - h, w, h).clipped()
    if site.finding == "Pneumothorax":
        return _against_wall(
            chest.wall_x(side, chest.apex_y + h), side, chest.apex_y, w, h
        ).clipped()
    if site.finding == "Pleural_Thickening":
        return _along_wall(site, chest).clipped()
    if site.finding == "Hernia":
        x = chest.centre_at(chest.dome_left_y) + 12 + 40 * site.across
        bottom = chest.dome_left_y + 24
        return Box(x - w / 2, bottom - h, w, h).clipped()
    x, y = chest.lung_point(side, site.across, site.down)
    lung = chest.lung_box(side)
    # Small ones must be within the lung; large ones may extend over its edges.
    y = _within(y, lung.y + 0.5 * h, lung.y + lung.h - 0.4 * h)
    # The heart, however wide, must not hide it.
    heart = chest.centre_at(y) + side * chest.heart_reach(side, y)
    left = max(lung.x, heart) if side == LEFT else lung.x
    right = lung.x + lung.w if side == LEFT else min(lung.x + lung.w, heart)
    x = _within(x, left + 0.42 * w, right - 0.42 * w)
    return Box(x - w / 2, y - h / 2, w, h).clipped()


def _within(value: float, low: float, high: float) -> float:
    return (low + high) / 2 if low > high else min(max(value, low), high)


def _against_wall(wall: float, side: int, top: float, w: float, h: float) -> Box:
    return Box(wall - w if side == LEFT else wall, top, w, h)


def _along_wall(site: Site, chest: Chest) -> Box:
    lung = chest.lung_box(site.side)
    middle = _within(
        lung.y + site.down * lung.h, lung.y + 60 + site.h / 2, lung.y + lung.h - site.h / 2
    )
    top, bottom = middle - site.h / 2, middle + site.h / 2
    walls = [chest.wall_x(site.side, y) for y in np.linspace(top, bottom, 7)]
    left, right = (min(walls) - site.w, max(walls)) if site.side == LEFT else (
        min(walls), max(walls) + site.w
    )  # fmt: skip
    return Box(left, top, right - left, bottom - top)
