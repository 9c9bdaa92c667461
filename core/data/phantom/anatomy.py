"""The normal chest: what differs between patients and images, and where everything is.

Sides are the patient's: -1 is the right lung, which the viewer sees on the left, and +1 the left
lung, next to the heart's apex.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.data.phantom.canvas import UNITS, Box, Floats, Window, curve

RIGHT, LEFT = -1, 1
SIDES = (RIGHT, LEFT)


@dataclass(frozen=True)
class Chest:
    """One chest on one image; lengths in units."""

    centre_x: float  # of the spine, at mid-height
    tilt: float  # sideways shift of the spine per unit of height
    apex_y: float
    dome_right_y: float
    dome_left_y: float
    dome_drop: float  # from the dome's top to the costophrenic angle
    half_width: float  # from the spine to the inner chest wall, at the base
    taper: float  # how much narrower the chest is at mid-height
    mediastinum: float  # half the width
    heart_right: float  # reach from the spine to the viewer's left
    heart_left: float  # reach to the viewer's right
    heart_top_y: float
    heart_bottom_y: float
    aortic_knob: float
    rib_first_y: float
    rib_spacing: float
    rib_slope: float
    clavicle_y: float
    clavicle_slope: float
    wall: float  # thickness of the soft tissue outside the ribs
    shoulder_y: float
    arms_out: float  # distance of the arms from the trunk
    breast: float  # density of the breast shadow, 0 for none
    air: float  # depth of the lungs' air, in body depths
    bone: float  # density of bone
    vessels: float  # density of the vessels
    spine: float  # density of the spine
    stomach_x: float
    stomach_size: float

    def centre_at(self, y: float) -> float:
        """The spine's x at the height ``y``."""
        return self.centre_x + self.tilt * (y - UNITS / 2)

    def dome_y(self, side: int) -> float:
        """The height of a hemidiaphragm's top."""
        return self.dome_right_y if side == RIGHT else self.dome_left_y

    def lateral(self, y: Floats) -> Floats:
        """From the spine to the inner chest wall at the heights ``y``; 0 above the apex."""
        base_y = (self.dome_right_y + self.dome_left_y) / 2 + self.dome_drop
        # A quarter of a superellipse from the apex down to where the wall is vertical.
        descent = np.clip((y - self.apex_y) / (0.52 * (base_y - self.apex_y)), 0.0, 1.0)
        rounded = (1.0 - (1.0 - descent) ** 2.3) ** np.float32(1 / 2.0)
        down = np.clip((y - self.apex_y) / (base_y - self.apex_y), 0.0, 1.0)
        width: Floats = self.half_width * (1.0 - self.taper * (1.0 - down) ** 1.2)
        reach: Floats = (width * rounded).astype(np.float32)
        return reach

    def dome(self, distance: Floats, side: int) -> Floats:
        """The diaphragm's height at ``distance`` from the spine."""
        top_x = 0.46 * self.half_width
        outward = np.clip((distance - top_x) / (self.half_width - top_x), 0.0, 1.3)
        inward = np.clip((top_x - distance) / top_x, 0.0, 1.0)
        drop = self.dome_drop * outward**2.4 + 0.42 * self.dome_drop * inward**2.0
        heights: Floats = (self.dome_y(side) + drop).astype(np.float32)
        return heights

    def heart_border(self, y: Floats, side: int) -> Floats:
        """From the spine to the border of heart and great vessels at the heights ``y``."""
        top, bottom, upper = self.heart_top_y, self.heart_bottom_y, self.mediastinum
        knob_y = self.apex_y + 0.3 * (top + 60 - self.apex_y) + 60
        height = bottom - top
        if side == RIGHT:
            reach = self.heart_right
            knots = [
                (0.0, upper * 0.62), (self.apex_y, upper * 0.72), (knob_y, upper * 0.86),
                (top, min(upper, reach * 0.8)), (top + 0.3 * height, reach * 0.88),
                (top + 0.58 * height, reach), (top + 0.85 * height, reach * 0.95),
                (bottom + 0.12 * height, reach * 0.72), (UNITS, reach * 0.6),
            ]  # fmt: skip
        else:
            reach = self.heart_left
            knots = [
                (0.0, upper * 0.6), (self.apex_y, upper * 0.66), (knob_y - 34, upper * 0.95),
                (knob_y, upper + self.aortic_knob), (knob_y + 34, upper + 0.5 * self.aortic_knob),
                (knob_y + 62, upper), (top + 0.04 * height, max(upper, 0.48 * reach)),
                (top + 0.3 * height, 0.68 * reach), (top + 0.52 * height, 0.88 * reach),
                (top + 0.7 * height, 0.98 * reach), (top + 0.84 * height, reach),
                (bottom, 0.9 * reach), (UNITS, 0.5 * reach),
            ]  # fmt: skip
        heights, reaches = zip(*knots, strict=True)
        return curve(heights, reaches, y)

    def heart_box(self) -> Box:
        """The heart, from its top to the apex, as a radiologist would box it."""
        x = self.centre_at((self.heart_top_y + self.heart_bottom_y) / 2)
        return Box(
            x - self.heart_right,
            self.heart_top_y,
            self.heart_right + self.heart_left,
            self.heart_bottom_y - self.heart_top_y,
        )

    def lung_box(self, side: int) -> Box:
        """One lung, from the apex to the costophrenic angle."""
        bottom = self.dome_y(side) + 0.8 * self.dome_drop
        centre = self.centre_at((self.apex_y + bottom) / 2)
        inner, outer = self.mediastinum, self.half_width * (1 - 0.25 * self.taper)
        left = centre + inner if side == LEFT else centre - outer
        return Box(left, self.apex_y, outer - inner, bottom - self.apex_y)

    def lung_point(self, side: int, across: float, down: float) -> tuple[float, float]:
        """A point in a lung: 0 to 1 from the mediastinum outward, 0 to 1 from apex to dome."""
        y = self.apex_y + down * (self.dome_y(side) - self.apex_y)
        outer = float(self.lateral(np.array([y]))[0])
        inner = min(self.heart_reach(side, y), outer - 40)
        return self.centre_at(y) + side * (inner + across * (outer - inner)), y

    def heart_reach(self, side: int, y: float) -> float:
        """From the spine to the medial edge of the lung at the height ``y``."""
        return float(self.heart_border(np.array([y]), side)[0])

    def wall_x(self, side: int, y: float) -> float:
        """The inner chest wall's x at the height ``y``."""
        return self.centre_at(y) + side * float(self.lateral(np.array([y]))[0])


def draw_chest(rng: np.random.Generator, *, female: bool, age: float) -> Chest:
    """A patient's chest, standing, in inspiration; build and fat vary, the heart fits the chest."""
    half_width = float(rng.normal(372 if female else 386, 15))
    frame = half_width / 380
    old = np.clip((age - 50) / 40, -1.0, 1.0)
    dome_y = float(rng.normal(722, 20))
    # A normal cardiothoracic ratio: 0.36 to 0.46 of the inner chest.
    heart = 2 * half_width * float(np.clip(rng.normal(0.405 + 0.012 * old, 0.022), 0.34, 0.45))
    share_left = float(np.clip(rng.normal(0.66, 0.025), 0.6, 0.72))
    dome_left_y = dome_y + float(rng.normal(22, 9))
    drop = float(rng.normal(84, 9))
    apex_y = float(rng.normal(128, 16))
    spacing = float(rng.normal(66, 3.5)) * (dome_y - apex_y) / 600
    clavicle_y, clavicle_slope = apex_y + float(rng.normal(64, 13)), float(rng.normal(-0.15, 0.05))
    return Chest(
        centre_x=512.0,
        tilt=float(rng.normal(0, 0.012)),
        apex_y=apex_y,
        dome_right_y=dome_y,
        dome_left_y=dome_left_y,
        dome_drop=drop,
        half_width=half_width,
        taper=float(rng.uniform(0.1, 0.24)),
        mediastinum=float(rng.normal(66, 5)) * frame,
        heart_right=heart * (1 - share_left),
        heart_left=heart * share_left,
        heart_top_y=float(rng.normal(430, 16)),
        heart_bottom_y=dome_left_y + float(rng.normal(30, 8)),
        aortic_knob=float(np.clip(rng.normal(20 + 9 * old, 6), 4, 42)),
        rib_first_y=apex_y - 0.35 * spacing + float(rng.normal(0, 10)),
        rib_spacing=spacing,
        rib_slope=float(rng.normal(118, 22)),
        clavicle_y=clavicle_y,
        clavicle_slope=clavicle_slope,
        wall=float(np.clip(rng.lognormal(np.log(52), 0.42), 24, 125)),
        shoulder_y=clavicle_y + 0.9 * half_width * clavicle_slope - float(rng.uniform(16, 34)),
        arms_out=float(rng.uniform(0.0, 1.0)),
        breast=float(rng.uniform(0.03, 0.2)) if female and age > 13 else 0.0,
        air=float(np.clip(rng.normal(0.73, 0.035), 0.64, 0.8)),
        bone=float(rng.normal(1.0, 0.14)) * (1 - 0.12 * old),
        vessels=float(rng.normal(1.0, 0.15)),
        spine=float(rng.normal(1.0, 0.25)),
        stomach_x=float(rng.uniform(0.32, 0.62)),
        stomach_size=float(np.clip(rng.normal(42, 26), 0, 95)),
    )


def posed(chest: Chest, rng: np.random.Generator, *, view: str) -> Chest:
    """The chest on one image: position, inspiration, and the effects of AP.

    An AP image is taken from the front, usually supine: the heart is further from the detector and
    looks wider, and the diaphragm and the clavicles are higher.
    """
    supine = view == "AP"
    up, side = float(rng.normal(0, 15)), float(rng.normal(0, 14))
    breath = float(rng.normal(-34 if supine else 0, 16))
    wider = float(rng.normal(1.065, 0.025)) if supine else float(rng.normal(1.0, 0.015))
    heart = wider * (1 - 0.0006 * breath)
    collar = float(rng.normal(-26 if supine else 0, 8))
    return replace(
        chest,
        centre_x=chest.centre_x + side,
        tilt=chest.tilt + float(rng.normal(0, 0.02 if supine else 0.01)),
        apex_y=chest.apex_y + up,
        dome_right_y=chest.dome_right_y + up + breath + float(rng.normal(0, 5)),
        dome_left_y=chest.dome_left_y + up + breath + float(rng.normal(0, 5)),
        mediastinum=chest.mediastinum * (float(rng.normal(1.14, 0.05)) if supine else 1.0),
        heart_right=chest.heart_right * heart,
        heart_left=chest.heart_left * heart,
        heart_top_y=chest.heart_top_y + up + 0.4 * breath,
        heart_bottom_y=chest.heart_bottom_y + up + breath,
        rib_first_y=chest.rib_first_y + up,
        rib_slope=chest.rib_slope + float(rng.normal(-20 if supine else 8, 8)),
        clavicle_y=chest.clavicle_y + up + collar,
        shoulder_y=chest.shoulder_y + up + collar,
        air=chest.air * float(rng.normal(0.96 if supine else 1.0, 0.015)),
        stomach_size=chest.stomach_size * float(rng.uniform(0.5, 1.3)),
    )


@dataclass(frozen=True)
class Layout:
    """A chest's geometry at every pixel of an image (S, S)."""

    sideways_SS: Floats  # from the spine, negative towards the viewer's left
    distance_SS: Floats  # the same, absolute
    lateral_S1: Floats  # the inner chest wall
    dome_SS: Floats  # height of the diaphragm at that pixel's column
    into_lung_SS: Floats  # distance inside a lung's outline, negative outside
    into_heart_SS: Floats  # distance inside heart and mediastinum

    @classmethod
    def of(cls, chest: Chest, full: Window) -> Layout:
        """Compute the layout of ``chest`` on the whole image ``full``."""
        x_1S, y_S1 = full.x_1W, full.y_H1
        centre_S1 = np.float32(chest.centre_x) + np.float32(chest.tilt) * (y_S1 - UNITS / 2)
        sideways_SS = x_1S - centre_S1
        distance_SS = np.abs(sideways_SS)
        lateral_S1 = chest.lateral(y_S1)
        # The spine's tilt is too small to affect the height of the dome.
        sideways_1S = x_1S - chest.centre_at(chest.dome_right_y)
        dome_1S = np.where(
            sideways_1S < 0,
            chest.dome(np.abs(sideways_1S), RIGHT),
            chest.dome(np.abs(sideways_1S), LEFT),
        )
        inner_S1 = 0.45 * chest.mediastinum * np.clip((y_S1 - chest.apex_y) / 60, 0, 1)
        into_lung_SS = np.minimum(lateral_S1 - distance_SS, distance_SS - inner_S1)
        np.minimum(into_lung_SS, dome_1S - y_S1, out=into_lung_SS)
        into_heart_SS = np.minimum(
            chest.heart_border(y_S1, LEFT) - sideways_SS,
            sideways_SS + chest.heart_border(y_S1, RIGHT),
        )
        dome_SS = np.broadcast_to(dome_1S, distance_SS.shape)
        return cls(sideways_SS, distance_SS, lateral_S1, dome_SS, into_lung_SS, into_heart_SS)
