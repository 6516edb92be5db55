"""Draws the gallery's contents and styles, all our own: `python scripts/experiments/gallery.py FOLDER`."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from brushwork.data.writing import save_picture

Floats = NDArray[np.float64]

SIDE = 384
WIDTH, HEIGHT = 384, 288
"""Of contents."""


# Contents
def lake() -> Image.Image:
    """Ridges behind a lake in the evening."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:HEIGHT, :WIDTH] / HEIGHT
    shore, sun = 0.62, (0.9, 0.3)
    far = np.hypot(x - sun[0], y - sun[1])
    glow = np.exp(-((far / 0.25) ** 2))[..., None]
    sky = between((90, 125, 190), (250, 205, 160), y / shore) * (1 - glow) + glow * (255, 235, 170)
    view = np.where((far < 0.055)[..., None], (255, 248, 220), sky)
    ridges = ((0.42, 0.16, (128, 130, 170)), (0.5, 0.11, (84, 96, 120)), (0.58, 0.06, (44, 66, 62)))
    for height, rise, colour in ridges:
        line = height - rise * fractal(rng, WIDTH)
        mist = 1 + 0.25 * np.clip((y - line) / (shore - height + rise), 0, 1)[..., None]
        view = np.where((y > line)[..., None], np.array(colour) * mist, view)
    # Water: what is above, upside down, moved by waves that grow towards us, and a little darker.
    water = int(shore * HEIGHT)
    rows, columns = np.mgrid[water:HEIGHT, :WIDTH]
    depth = (rows - water) / (HEIGHT - water)
    waves = (2 + 7 * depth) * np.sin(rows * 0.9 / (0.4 + depth) + 3 * np.sin(columns / 37))
    above = np.clip(water - 1 - (rows - water) * 0.95, 0, water - 1).astype(int)
    view[water:] = view[above, np.clip(columns + waves, 0, WIDTH - 1).astype(int)] * 0.82
    image = as_image(view)
    draw = ImageDraw.Draw(image)
    for place, tall in ((26, 150), (58, 105), (352, 128)):
        for k in range(26):
            at, half = HEIGHT - 30 - tall + k * tall / 26, 3 + 0.75 * k + rng.uniform(0, 5)
            draw.polygon([(place, at - 10), (place - half, at + 5), (place + half, at + 5)], (22, 38, 30))
    draw.polygon([(0, HEIGHT), (0, HEIGHT - 40), (110, HEIGHT - 22), (250, HEIGHT - 12), (WIDTH, HEIGHT - 36),
                  (WIDTH, HEIGHT)], (36, 52, 30))  # fmt: skip
    return image


def table() -> Image.Image:
    """Balls on a chequered cloth, traced with shadows and reflections."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack([(x - WIDTH / 2) / WIDTH, (HEIGHT / 2 - y) / WIDTH - 0.2, np.ones(x.shape)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    origin = np.broadcast_to(np.array((0.0, 1.5, -3.4)), rays.shape)
    return as_image(255 * seen(origin, rays, bounces=2))


BALLS = ((-0.95, 0.62, 0.5, 0.62, (0.85, 0.2, 0.12)), (0.35, 0.8, 1.1, 0.8, (0.95, 0.72, 0.15)),
         (0.1, 0.36, -0.35, 0.36, (0.2, 0.45, 0.75)), (1.25, 0.45, 0.1, 0.45, (0.3, 0.6, 0.25)))  # fmt: skip
"""Centres, radii, colours."""
LAMP = np.array((-0.55, 0.75, -0.37))


def seen(origin: Floats, rays: Floats, bounces: int) -> Floats:
    """Colours (H, W, 3), 0 to 1, that rays meet."""
    found = between((0.32, 0.27, 0.3), (0.62, 0.5, 0.4), np.clip(rays[..., 1] * 1.6 + 0.4, 0, 1))
    nearest = np.full(rays.shape[:2], np.inf)
    down = np.where(rays[..., 1] < -1e-6, -origin[..., 1] / np.minimum(rays[..., 1], -1e-6), np.inf)
    on_cloth = (down > 1e-4) & (down < 12)
    place = origin + np.where(on_cloth, down, 0)[..., None] * rays
    even = (np.floor(place[..., 0] * 2) + np.floor(place[..., 2] * 2)) % 2 == 0
    cloth = np.where(even[..., None], (0.92, 0.88, 0.8), (0.55, 0.16, 0.2))
    lit = 0.3 + 0.7 * LAMP[1] * ~shadowed(place + 1e-3 * LAMP)
    found = np.where(on_cloth[..., None], cloth * lit[..., None], found)
    nearest = np.where(on_cloth, down, nearest)
    for *centre, radius, colour in BALLS:
        far = met(origin, rays, np.array(centre), radius)
        closer = far < nearest
        nearest = np.where(closer, far, nearest)
        place = origin + np.where(closer, far, 0)[..., None] * rays
        normal = (place - np.array(centre)) / radius
        away = rays - 2 * (rays * normal).sum(axis=-1, keepdims=True) * normal
        lit = 0.18 + 0.82 * np.clip(normal @ LAMP, 0, 1) * ~shadowed(place + 1e-3 * normal)
        shine = np.clip(away @ LAMP, 0, 1) ** 40
        own = np.array(colour) * lit[..., None] + 0.7 * shine[..., None]
        if bounces:
            own = 0.82 * own + 0.18 * seen(place + 1e-3 * normal, away, bounces - 1)
        found = np.where(closer[..., None], own, found)
    return np.clip(found, 0, 1)


def met(origin: Floats, rays: Floats, centre: Floats, radius: float) -> Floats:
    """How far along each ray a ball is; infinite where it misses."""
    to = origin - centre
    half = (to * rays).sum(axis=-1)
    inside = half**2 - (to**2).sum(axis=-1) + radius**2
    far = -half - np.sqrt(np.maximum(inside, 0))
    return np.where((inside > 0) & (far > 1e-3), far, np.inf)


def shadowed(place: Floats) -> NDArray[np.bool_]:
    rays = np.broadcast_to(LAMP / np.linalg.norm(LAMP), place.shape)
    hits = [np.isfinite(met(place, rays, np.array(centre), radius)) for *centre, radius, _ in BALLS]
    return np.any(hits, axis=0)


# Styles
def strokes() -> Image.Image:
    """Brush strokes that turn about three lights."""
    rng = np.random.default_rng(3)
    lights = np.array([(90, 112), (285, 150), (188, 300)])
    palette = np.array([(18, 44, 110), (40, 90, 170), (90, 150, 210), (240, 210, 80), (250, 235, 160),
                        (10, 25, 60), (200, 120, 40)])  # fmt: skip
    shares = ([0.26, 0.28, 0.2, 0.05, 0.03, 0.14, 0.04], [0.02, 0.05, 0.1, 0.5, 0.28, 0.02, 0.03])
    image = Image.new("RGB", (SIDE, SIDE), (20, 40, 90))
    draw = ImageDraw.Draw(image)
    for _ in range(4200):
        at = rng.uniform(0, SIDE, 2)
        near = int(np.hypot(*(at - lights).T).min() < 34)
        colour = palette[rng.choice(len(palette), p=shares[near])] + rng.integers(-16, 17, 3)
        points = [tuple(at)]
        for _ in range(int(rng.integers(5, 13))):
            to = at - lights
            turn = (np.stack([-to[:, 1], to[:, 0]], axis=1) / ((to**2).sum(axis=1) + 500)[:, None]).sum(
                axis=0
            )
            at = at + 3.4 * turn / (np.linalg.norm(turn) + 1e-9)
            points.append(tuple(at))
        draw.line(points, tuple(np.clip(colour, 0, 255)), int(rng.integers(2, 7)), joint="curve")
    return image.filter(ImageFilter.GaussianBlur(0.5))


def mosaic() -> Image.Image:
    """Stones in dark mortar."""
    rng = np.random.default_rng(4)
    stones, (y, x) = rng.uniform(0, SIDE, (420, 2)), np.mgrid[:SIDE, :SIDE]
    squares = (x[..., None] - stones[:, 0]) ** 2 + (y[..., None] - stones[:, 1]) ** 2
    two = np.sqrt(np.partition(squares, 1, axis=2)[..., :2])
    palette = np.array([(196, 60, 40), (226, 140, 50), (240, 200, 110), (60, 110, 110), (30, 60, 80),
                        (235, 225, 200), (120, 30, 40)])  # fmt: skip
    colours = palette[rng.integers(0, len(palette), 420)] + rng.integers(-18, 19, (420, 3))
    mortar = (two[..., 1] - two[..., 0] < 2.6)[..., None]
    return as_image(np.where(mortar, (25, 22, 20), colours[squares.argmin(axis=2)])).filter(
        ImageFilter.GaussianBlur(0.6)
    )


def hatching() -> Image.Image:
    """Ink lines in three directions, closer where it is darker."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = ((1, 1, 0, 1), (2, -1, 1, 0.7), (-1, 3, 2, 0.5))
    tone = np.sum([w * np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c, w in waves], axis=0)
    image = Image.new("RGB", (SIDE, SIDE), (244, 238, 222))
    draw = ImageDraw.Draw(image)
    for angle, darkest in ((0.8, 1.0), (2.3, 0.0), (1.5, -0.8)):
        for _ in range(3000):
            column, row = rng.uniform(0, SIDE, 2)
            if tone[int(row), int(column)] < darkest:
                long, turned = rng.uniform(6, 18), angle + rng.normal(0, 0.08)
                end = column + long * math.cos(turned), row + long * math.sin(turned)
                draw.line((column, row, *end), (40, 34, 52), 1)
    return image


# Helpers
def between(first: tuple[float, ...], last: tuple[float, ...], share: Floats) -> Floats:
    return np.array(first) + np.clip(share, 0, 1)[..., None] * (np.array(last) - np.array(first))


def fractal(rng: np.random.Generator, length: int) -> Floats:
    """Noise over `length` places, from 0 to 1, half as strong at twice the frequency."""
    total = np.zeros(length)
    for octave in range(7):
        knots = rng.uniform(-1, 1, 3 * 2**octave + 1)
        total += np.interp(np.linspace(0, len(knots) - 1, length), np.arange(len(knots)), knots) / 2**octave
    return (total - total.min()) / np.ptp(total)


def as_image(values: Floats) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).round().astype(np.uint8))


CONTENTS: tuple[Callable[[], Image.Image], ...] = (lake, table)
STYLES: tuple[Callable[[], Image.Image], ...] = (strokes, mosaic, hatching)

if __name__ == "__main__":
    for kind, drawings in (("contents", CONTENTS), ("styles", STYLES)):
        folder = Path(sys.argv[1]) / kind
        folder.mkdir(parents=True, exist_ok=True)
        for drawing in drawings:
            save_picture(folder / f"{drawing.__name__}.png", drawing())
