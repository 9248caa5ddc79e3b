"""Figures as strokes for a pen, x and y in about -1 to 1, and noise as pixels: none of them is a digit."""

from math import cos, pi, sin

import numpy as np
from numpy.random import Generator

from stages.drawn.pages import Pixels, Points

SIDE = 28  # of MNIST's pictures


def _ring(turns: float = 1, start: float = 0, points: int = 24) -> Points:
    angle = start + np.linspace(0, 2 * pi * turns, points)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def beziers(random: Generator) -> list[Points]:
    """Two to five quadratic curves, joined or apart."""
    time = np.linspace(0, 1, 9)[:, None]
    strokes, end = [], random.uniform(-1, 1, 2)
    for _ in range(random.integers(2, 6)):
        start = end if random.random() < 0.6 else random.uniform(-1, 1, 2)
        middle, end = random.uniform(-1.3, 1.3, 2), random.uniform(-1, 1, 2)
        strokes.append((1 - time) ** 2 * start + 2 * time * (1 - time) * middle + time**2 * end)
    return strokes


def compositions(random: Generator) -> list[Points]:
    """Two or three of: a segment, an arc, a ring, a polygon of uneven sides."""
    strokes = []
    for number in range(random.integers(2, 4)):
        size = random.uniform(0.4, 1) * random.uniform(0.5, 1, 2)
        shape = random.integers(4)
        if shape == 0:
            stroke = random.uniform(-1, 1, (2, 2))
        elif shape == 1:
            stroke = _ring(random.uniform(0.25, 0.85), random.uniform(0, 2 * pi), 16) * size
        elif shape == 2:
            stroke = _ring() * size
        else:
            stroke = _ring(1, random.uniform(0, 2 * pi), int(random.integers(4, 8))) * size
        strokes.append(stroke + random.uniform(-0.6, 0.6, 2) * (number > 0))
    return strokes


def triangles(random: Generator) -> list[Points]:
    """An equilateral triangle at any angle."""
    return [_ring(1, random.uniform(0, 2 * pi), 4)]


def squares(random: Generator) -> list[Points]:
    """A square at any angle."""
    return [_ring(1, random.uniform(0, 2 * pi), 5)]


def polygons(random: Generator) -> list[Points]:
    """Five to eight uneven sides; sometimes the last is missing."""
    corners = int(random.integers(5, 9))
    angles = np.linspace(0, 2 * pi, corners, endpoint=False) + random.normal(0, 0.2, corners)
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1) * random.uniform(0.7, 1, (corners, 1))
    return [np.concatenate([around, around[:1]]) if random.random() < 0.8 else around]


def arrows(random: Generator) -> list[Points]:
    """A shaft in any direction with a head at one end or at both."""
    angle = random.uniform(0, 2 * pi)
    barb, spread = random.uniform(0.4, 0.8), random.uniform(0.4, 0.8)
    tip = np.array([cos(angle), sin(angle)])
    left, right = (tip - barb * np.array([cos(angle + side), sin(angle + side)]) for side in (spread, -spread))
    head = np.array([left, tip, right])
    return [np.array([-tip, tip]), head, *([-head] if random.random() < 0.4 else [])]


def crossed_rings(random: Generator) -> list[Points]:
    """A ring with two diameters; with one it could be a slashed 0."""
    angles = random.uniform(0, pi) + np.arange(2) * pi / 2
    return [_ring(), *(np.array([[cos(a), sin(a)], [-cos(a), -sin(a)]]) for a in angles)]


def scribbles(random: Generator) -> list[Points]:
    """A zigzag of random corners."""
    return [random.uniform(-1, 1, (random.integers(4, 10), 2))]


def curves(random: Generator) -> list[Points]:
    """A closed curve around a circle; its radius swings by 0.3 or more, so that it cannot pass for a 0."""
    angle = np.linspace(0, 2 * pi, 40)
    radius = 1 + 0.3 * np.cos(random.integers(3, 6) * angle + random.uniform(0, 2 * pi))
    radius += sum(random.uniform(0, 0.15) * np.cos(wave * angle + random.uniform(0, 2 * pi)) for wave in (3, 4, 5))
    return [_ring(points=40) * radius[:, None] / 1.4]


def stars(random: Generator) -> list[Points]:
    """A star of four to seven tips."""
    tips = int(random.integers(4, 8))
    radius = np.where(np.arange(2 * tips + 1) % 2, random.uniform(0.3, 0.55), 1)
    return [_ring(1, random.uniform(0, 2 * pi), 2 * tips + 1) * radius[:, None]]


def hearts(_: Generator) -> list[Points]:
    """A heart."""
    angle = np.linspace(0, 2 * pi, 40)
    up = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
    return [np.stack([16 * np.sin(angle) ** 3, -up], axis=1) / 17]


def spirals(random: Generator) -> list[Points]:
    """A spiral of two to three and a half turns, either way round."""
    turns = random.uniform(2, 3.5)
    return [_ring(turns * random.choice([-1, 1]), random.uniform(0, 2 * pi), 60) * np.linspace(0, 1, 60)[:, None]]


def blank(random: Generator) -> Pixels:
    """One grey level everywhere, mostly black."""
    return np.full((SIDE, SIDE), random.integers(256) if random.random() < 0.3 else 0, np.uint8)


def grains(random: Generator) -> Pixels:
    """Normal noise of any strength around any grey level, in grains of one to four pixels."""
    size = int(random.integers(1, 5))
    cells = random.normal(random.uniform(0, 255), 10 ** random.uniform(0.5, 2.3), (SIDE // size + 1,) * 2)
    return cells.clip(0, 255).astype(np.uint8).repeat(size, 0).repeat(size, 1)[:SIDE, :SIDE]


def specks(random: Generator) -> Pixels:
    """White pixels on black, from a few to nearly all."""
    density = random.choice([random.uniform(0, 1), 10 ** random.uniform(-3, -0.7)])
    return np.where(random.random((SIDE, SIDE)) < density, 255, 0).astype(np.uint8)


def uniform_noise(random: Generator) -> Pixels:
    """Uniform noise between two grey levels."""
    low, high = np.sort(random.integers(0, 256, 2))
    return random.integers(low, high + 1, (SIDE, SIDE)).astype(np.uint8)


def stripes(random: Generator) -> Pixels:
    """A sine wave in any direction."""
    turn, period = random.uniform(0, pi), random.uniform(2, 14)
    row, column = np.mgrid[:SIDE, :SIDE]
    wave = np.sin(2 * pi * (row * sin(turn) + column * cos(turn)) / period + random.uniform(0, 2 * pi))
    return np.asarray(127.5 + 127.5 * wave, dtype=np.uint8)
