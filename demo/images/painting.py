"""A small painter: filled shapes with smooth edges, written as PNG with nothing but the standard library."""

import math
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

Point = tuple[float, float]
Colour = tuple[int, int, int]
Shape = list[Point]

STEPS = 4
"""Sample lines per row of pixels. Across, coverage is exact, so four are smooth enough."""


def colour(text: str) -> Colour:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`share` 0 is the first colour, 1 the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


class Canvas:
    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._planes = [[bytearray(width) for _ in range(height)] for _ in range(3)]

    def fill(self, shape: Shape, top: Colour, bottom: Colour | None = None, *, opacity: float = 1.0) -> None:
        """Fills by the even-odd rule; two colours make a gradient from the shape's highest to its lowest point."""
        highest = min(y for _, y in shape)
        lowest = max(y for _, y in shape)
        for row in range(max(0, math.floor(highest)), min(self.height, math.ceil(lowest))):
            share = (row + 0.5 - highest) / (lowest - highest)
            shade = mix(top, bottom or top, min(1.0, max(0.0, share)))
            lines = [self._crossings(shape, row + (step + 0.5) / STEPS) for step in range(STEPS)]
            self._fill_row(row, lines, shade, opacity)

    def _crossings(self, shape: Shape, y: float) -> list[float]:
        found = []
        x1, y1 = shape[-1]
        for x2, y2 in shape:
            if (y1 <= y) != (y2 <= y):
                x = x1 + (y - y1) / (y2 - y1) * (x2 - x1)
                found.append(min(float(self.width), max(0.0, x)))
            x1, y1 = x2, y2
        return sorted(found)

    def _fill_row(self, row: int, lines: list[list[float]], shade: Colour, opacity: float) -> None:
        spans = [pair for line in lines for pair in zip(line[::2], line[1::2], strict=True)]
        if not spans:
            return
        left, right = math.floor(min(a for a, _ in spans)), math.ceil(max(b for _, b in spans))
        if len(spans) != STEPS:
            self._blend_edge(row, left, right, spans, shade, opacity)
            return
        # One span on every sample line: whole pixels between its ends need no counting.
        start, end = math.ceil(max(a for a, _ in spans)), math.floor(min(b for _, b in spans))
        if start >= end:
            self._blend_edge(row, left, right, spans, shade, opacity)
            return
        self._blend_edge(row, left, start, spans, shade, opacity)
        self._blend_run(row, start, end, shade, opacity)
        self._blend_edge(row, end, right, spans, shade, opacity)

    def _blend_run(self, row: int, start: int, end: int, shade: Colour, opacity: float) -> None:
        for plane, value in zip(self._planes, shade, strict=True):
            if opacity >= 1:
                plane[row][start:end] = bytes([value]) * (end - start)
            else:
                table = bytes(round(old + (value - old) * opacity) for old in range(256))
                plane[row][start:end] = plane[row][start:end].translate(table)

    def _blend_edge(self, row: int, start: int, end: int, spans: list[Point], shade: Colour, opacity: float) -> None:
        for x in range(start, min(end, self.width)):
            covered = sum(max(0.0, min(x + 1, b) - max(x, a)) for a, b in spans) / STEPS * opacity
            for plane, value in zip(self._planes, shade, strict=True):
                old = plane[row][x]
                plane[row][x] = round(old + (value - old) * covered)

    def save(self, path: Path) -> None:
        rows = [
            bytes(value for pixel in zip(*(plane[row] for plane in self._planes), strict=True) for value in pixel)
            for row in range(self.height)
        ]
        before = [bytes(len(rows[0])), *rows[:-1]]
        plain = b"".join(b"\0" + row for row in rows)
        # PNG filter 2 (Up) suits gradients, filter 0 flat areas; the smaller file wins.
        up = b"".join(
            b"\2" + bytes((a - b) & 255 for a, b in zip(row, above, strict=True))
            for row, above in zip(rows, before, strict=True)
        )
        data = min((zlib.compress(plain, 9), zlib.compress(up, 9)), key=len)
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def box(left: float, top: float, right: float, bottom: float) -> Shape:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def oval(x: float, y: float, across: float, down: float | None = None, *, turn: float = 0.0) -> Shape:
    """An ellipse by its half axes, turned by degrees."""
    down = across if down is None else down
    sine, cosine = math.sin(math.radians(turn)), math.cos(math.radians(turn))
    shape = []
    for part in range(72):
        angle = math.tau * part / 72
        a, b = across * math.cos(angle), down * math.sin(angle)
        shape.append((x + a * cosine - b * sine, y + a * sine + b * cosine))
    return shape


def ring(x: float, y: float, across: float, down: float, *, width: float) -> Shape:
    outer, inner = oval(x, y, across, down), oval(x, y, across - width, down - width)
    return [*outer, outer[0], *inner, inner[0]]


def rounded(left: float, top: float, right: float, bottom: float, radius: float) -> Shape:
    corners = ((right - radius, bottom - radius), (left + radius, bottom - radius),
               (left + radius, top + radius), (right - radius, top + radius))  # fmt: skip
    return [
        (x + radius * math.cos(math.radians(angle)), y + radius * math.sin(math.radians(angle)))
        for quarter, (x, y) in enumerate(corners)
        for angle in range(quarter * 90, quarter * 90 + 91, 10)
    ]


def bar(start: Point, end: Point, thickness: float, thickness_at_end: float | None = None) -> Shape:
    """A straight stroke with round ends."""
    (x1, y1), (x2, y2) = start, end
    first, last = thickness / 2, (thickness if thickness_at_end is None else thickness_at_end) / 2
    angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
    near = [(x1, y1, first, angle + a) for a in range(90, 271, 15)]
    far = [(x2, y2, last, angle + a) for a in range(-90, 91, 15)]
    return [(x + r * math.cos(math.radians(a)), y + r * math.sin(math.radians(a))) for x, y, r, a in near + far]


def curve(points: Sequence[Point], *, closed: bool = False) -> Shape:
    """A smooth line through the points (Catmull-Rom)."""
    knots = [points[-1], *points, points[0], points[1]] if closed else [points[0], *points, points[-1]]
    line: Shape = []
    for a, b, c, d in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        for part in range(16):
            t = part / 16
            line.append((_between(a[0], b[0], c[0], d[0], t), _between(a[1], b[1], c[1], d[1], t)))
    return line if closed else [*line, points[-1]]


def _between(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def below(height_at: Callable[[float], float], width: int, bottom: int) -> Shape:
    """Everything under a line given by its height at each x: hills, shores, meadows."""
    return [*((x, height_at(x)) for x in range(0, width + 1, 4)), (width, bottom), (0, bottom)]


def moved(shape: Iterable[Point], x: float, y: float, scale: float = 1.0) -> Shape:
    return [(x + scale * a, y + scale * b) for a, b in shape]
