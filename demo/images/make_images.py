"""Paints the pictures of the demo hub's articles: one landscape per topic, and two variants of each.

    python demo/images/make_images.py

Every picture has the same bones (sky, sun, three ridges, a meadow and a milestone); the topic gives the palette and
what stands in the foreground. The PNGs are committed, so nobody needs to run this to see the demo.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from painting import Canvas, Colour, Point, bar, below, box, colour, curve, mix, moved, oval, ring, rounded

WIDTH, HEIGHT = 1200, 630


class Palette(NamedTuple):
    sky: Colour
    horizon: Colour
    sun: Colour
    far: Colour
    near: Colour
    ground: Colour
    ink: Colour
    """Runners, trees, the dark parts of things."""
    accent: Colour
    light: Colour


def palette(*colours: str) -> Palette:
    return Palette(*map(colour, colours))


PALETTES = {
    "running": palette("#f6c9a3", "#fdf0dc", "#fff8e8", "#a9c3b0", "#4f8a74", "#3d7461", "#1f4238", "#e4744c", "#f7e6c8"),
    "gym": palette("#d9c7dd", "#f8ece6", "#fff6ee", "#b9a3c0", "#765a86", "#5f4670", "#33233f", "#e0925c", "#efe2ea"),
    "injury": palette("#b9dde0", "#f0f7f1", "#fffdf2", "#9cc5c9", "#4b8f99", "#3f7f88", "#1e4a55", "#ee9b7b", "#e9f5f2"),
    "nutrition": palette("#fbd98a", "#fff6dc", "#fffbee", "#d6c78a", "#93a45a", "#c98d54", "#5a3b22", "#e2633f", "#fff1d0"),
    "race-day": palette("#8fb6dd", "#fdeee4", "#fff7ea", "#93a9c8", "#4a6491", "#c4573f", "#22304f", "#f3b544", "#fff3e6"),
    "gear": palette("#3c4a74", "#e9a98c", "#ffd9a8", "#6f6d94", "#41466f", "#2c3157", "#171a35", "#f2a65a", "#f4e3d3"),
}  # fmt: skip


def ridge(base: float, height: float, seed: float) -> Callable[[float], float]:
    """A hill line: three waves that never meet in the same way twice."""

    def height_at(x: float) -> float:
        wave = math.sin(x / 210 + seed) + 0.5 * math.sin(x / 97 + 2.3 * seed) + 0.22 * math.sin(x / 43 + 4.1 * seed)
        return base - height * (0.5 + wave / 3.4)

    return height_at


def landscape(canvas: Canvas, p: Palette, seed: float) -> None:
    canvas.fill(box(0, 0, WIDTH, 430), p.sky, p.horizon)
    canvas.fill(box(0, 430, WIDTH, HEIGHT), p.horizon)
    sun = (250 + 700 * (0.5 + 0.5 * math.sin(2.1 * seed)), 205 + 30 * math.cos(seed))
    for size, opacity in ((150, 0.16), (112, 0.22), (76, 1.0)):
        canvas.fill(oval(*sun, size), p.sun, opacity=opacity)
    for layer, (base, height) in enumerate(((395, 190), (440, 140), (490, 95))):
        shade = mix(p.far, p.near, layer / 2)
        canvas.fill(below(ridge(base, height, seed + 1.7 * layer), WIDTH, HEIGHT), mix(shade, p.horizon, 0.18), shade)


def meadow(canvas: Canvas, p: Palette, top: float = 490) -> None:
    canvas.fill(below(lambda x: top + 10 * math.sin(x / 260), WIDTH, HEIGHT), p.ground, mix(p.ground, p.ink, 0.3))


def milestone(canvas: Canvas, p: Palette, x: float = 1075, foot: float = 560) -> None:
    """The mark of the family: a small white post with a band."""
    canvas.fill(oval(x, foot, 40, 7), p.ink, opacity=0.35)
    canvas.fill(rounded(x - 24, foot - 96, x + 24, foot - 40, 22), p.light)
    canvas.fill(box(x - 24, foot - 70, x + 24, foot), p.light)
    canvas.fill(box(x - 24, foot - 58, x + 24, foot - 42), p.accent)


def tree(canvas: Canvas, p: Palette, x: float, foot: float, height: float) -> None:
    canvas.fill(bar((x, foot), (x, foot - height * 0.5), height * 0.06), p.ink)
    canvas.fill(oval(x, foot - height * 0.62, height * 0.2, height * 0.4), mix(p.near, p.ink, 0.35), p.ink)


def runner(canvas: Canvas, p: Palette, x: float, foot: float, size: float, shirt: Colour | None = None) -> None:
    """A runner in mid-stride towards the right, drawn in a box one unit high above the toes."""

    def limb(points: list[Point], thick: float, shade: Colour) -> None:
        for start, end in zip(points, points[1:], strict=False):
            canvas.fill(bar(*moved((start, end), x, foot, size), thick * size), shade)

    shirt = shirt or p.accent
    limb([(0.03, -0.74), (-0.13, -0.62), (-0.19, -0.73 + 0.22)], 0.06, p.ink)
    limb([(-0.04, -0.46), (-0.12, -0.25), (-0.33, -0.20)], 0.085, p.ink)
    limb([(-0.33, -0.20), (-0.36, -0.14)], 0.07, p.ink)
    limb([(-0.03, -0.46), (0.15, -0.29), (0.11, -0.05)], 0.095, p.ink)
    limb([(0.11, -0.03), (0.19, -0.02)], 0.06, p.ink)
    canvas.fill(bar(*moved(((-0.03, -0.48), (0.04, -0.73)), x, foot, size), 0.15 * size, 0.17 * size), shirt)
    limb([(0.05, -0.74), (0.08, -0.57), (0.24, -0.60)], 0.065, mix(shirt, p.ink, 0.25))
    canvas.fill(moved(oval(0.1, -0.91, 0.075, 0.085), x, foot, size), p.ink)


def path(canvas: Canvas, p: Palette, *, bend: float = 1.0) -> None:
    middle = [
        (600 + bend * 60, 492),
        (600 + bend * 10, 505),
        (600 - bend * 70, 535),
        (600, 580),
        (600 + bend * 150, 640),
    ]
    half = (4, 13, 34, 72, 125)
    left = curve([(x - w, y) for (x, y), w in zip(middle, half, strict=True)])
    right = curve([(x + w, y) for (x, y), w in zip(middle, half, strict=True)])
    canvas.fill(left + right[::-1], mix(p.light, p.horizon, 0.5), p.light)


def running(canvas: Canvas, p: Palette) -> None:
    meadow(canvas, p)
    path(canvas, p)
    for x, height in ((120, 190), (185, 150), (905, 120), (955, 160)):
        tree(canvas, p, x, 520, height)
    runner(canvas, p, 520, 565, 190)


def running_uphill(canvas: Canvas, p: Palette) -> None:
    canvas.fill(below(lambda x: 570 - 0.17 * x + 8 * math.sin(x / 120), WIDTH, HEIGHT), p.ground, p.ink)
    tree(canvas, p, 965, 418, 130)
    for x, size in ((330, 190), (560, 165)):
        runner(canvas, p, x, 566 - 0.17 * x, size, p.accent if x < 400 else p.light)


def running_lake(canvas: Canvas, p: Palette) -> None:
    canvas.fill(box(0, 470, WIDTH, 540), mix(p.sky, p.far, 0.35), p.horizon)
    for x, y, length in ((180, 492, 150), (520, 505, 220), (800, 488, 110)):
        canvas.fill(bar((x, y), (x + length, y), 3), p.sun, opacity=0.6)
    meadow(canvas, p, 535)
    for x in (60, 190, 320, 450, 580, 840, 970):
        tree(canvas, p, x, 552, 250 - 0.09 * x)
    runner(canvas, p, 715, 600, 170)


def barbell(canvas: Canvas, p: Palette) -> None:
    meadow(canvas, p)
    canvas.fill(oval(600, 585, 420, 14), p.ink, opacity=0.3)
    canvas.fill(bar((190, 490), (1010, 490), 15), p.light)
    for side in (-1, 1):
        for offset, size, shade in ((255, 98, p.ink), (298, 80, p.accent), (335, 58, mix(p.ink, p.light, 0.25))):
            x = 600 + side * offset
            canvas.fill(rounded(x - 18, 490 - size, x + 18, 490 + size, 12), mix(shade, p.light, 0.15), shade)
        canvas.fill(rounded(600 + side * 368 - 9, 472, 600 + side * 368 + 9, 508, 5), p.light)


def kettlebells(canvas: Canvas, p: Palette) -> None:
    meadow(canvas, p)
    for x, size, shade in ((330, 105, p.accent), (590, 84, p.ink), (800, 64, p.light)):
        foot = 578
        canvas.fill(oval(x, foot, size * 1.05, 12), p.ink, opacity=0.3)
        y = foot - size * 0.95
        canvas.fill(ring(x, y - size * 0.96, size * 0.62, size * 0.6, width=size * 0.22), shade)
        canvas.fill(oval(x, y, size), mix(shade, p.light, 0.22), mix(shade, p.ink, 0.12))
        canvas.fill(oval(x, y, size * 0.42), p.light, opacity=0.28)


def steps_and_dumbbell(canvas: Canvas, p: Palette) -> None:
    meadow(canvas, p)
    for left, top in ((180, 500), (300, 430), (420, 360)):
        canvas.fill(box(left, top, 620, 590), mix(p.light, p.near, 0.12 + (500 - top) / 700), p.light)
        canvas.fill(box(left, top, 620, top + 12), p.accent)
    canvas.fill(oval(805, 588, 150, 11), p.ink, opacity=0.3)
    canvas.fill(bar((720, 540), (890, 540), 20), p.light)
    for x, size in ((712, 48), (740, 38), (870, 38), (898, 48)):
        canvas.fill(rounded(x - 14, 540 - size, x + 14, 540 + size, 9), mix(p.ink, p.light, 0.2), p.ink)


def water(canvas: Canvas, p: Palette) -> None:
    canvas.fill(box(0, 455, WIDTH, HEIGHT), p.far, p.ground)
    for x, y, length in ((90, 480, 170), (420, 470, 240), (760, 490, 200), (250, 505, 110), (620, 520, 160)):
        canvas.fill(bar((x, y), (x + length, y), 3), p.light, opacity=0.55)


def bench(canvas: Canvas, p: Palette) -> None:
    water(canvas, p)
    canvas.fill(below(lambda x: 575 - 22 * math.sin(x / 380), WIDTH, HEIGHT), p.ground, p.ink)
    tree(canvas, p, 215, 572, 330)
    for x in (420, 700):
        canvas.fill(bar((x, 520), (x - 8, 582), 12), p.ink)
        canvas.fill(bar((x + 30, 585), (x + 22, 440), 11), p.ink)
    for y in (442, 474):
        canvas.fill(rounded(390, y, 760, y + 20, 8), p.accent, mix(p.accent, p.ink, 0.15))
    canvas.fill(rounded(380, 512, 760, 532, 8), mix(p.accent, p.light, 0.25), p.accent)


def roller_and_tape(canvas: Canvas, p: Palette) -> None:
    water(canvas, p)
    canvas.fill(below(lambda x: 520 + 8 * math.sin(x / 240), WIDTH, HEIGHT), p.light, mix(p.light, p.far, 0.5))
    canvas.fill(oval(420, 598, 250, 12), p.ink, opacity=0.22)
    canvas.fill(rounded(235, 440, 620, 596, 60), mix(p.near, p.light, 0.3), p.ink)
    canvas.fill(oval(600, 518, 50, 78), mix(p.near, p.ink, 0.35))
    canvas.fill(oval(600, 518, 28, 46), p.far)
    for x in range(290, 540, 62):
        canvas.fill(bar((x, 458), (x, 578), 10), p.ink, opacity=0.28)
    canvas.fill(oval(835, 598, 90, 10), p.ink, opacity=0.22)
    canvas.fill(bar((830, 592), (985, 597), 9), p.accent)
    canvas.fill(ring(830, 528, 70, 70, width=36), mix(p.accent, p.light, 0.2), p.accent)
    canvas.fill(ring(830, 528, 54, 54, width=4), p.light, opacity=0.5)


def stepping_stones(canvas: Canvas, p: Palette) -> None:
    water(canvas, p)
    for x, y, size in ((760, 478, 30), (690, 494, 42), (600, 515, 58), (480, 542, 78), (320, 580, 108)):
        canvas.fill(oval(x, y + size * 0.2, size * 1.12, size * 0.3), p.ink, opacity=0.28)
        canvas.fill(oval(x, y, size, size * 0.3), p.light, mix(p.light, p.near, 0.45))
    canvas.fill(below(lambda x: 700 - 0.00062 * max(0.0, x - 700) ** 2 - 0.17 * x, WIDTH, HEIGHT), p.near, p.ink)


def table(canvas: Canvas, p: Palette) -> None:
    canvas.fill(box(0, 520, WIDTH, HEIGHT), p.ground, mix(p.ground, p.ink, 0.35))
    canvas.fill(box(0, 520, WIDTH, 530), p.light, opacity=0.35)


def leaf(canvas: Canvas, p: Palette, x: float, y: float, turn: float = -35) -> None:
    canvas.fill(oval(x, y, 30, 12, turn=turn), mix(p.near, p.ink, 0.15))


def fruit(canvas: Canvas, p: Palette, x: float, y: float, size: float, shade: Colour) -> None:
    canvas.fill(oval(x, y, size), mix(shade, p.light, 0.25), mix(shade, p.ink, 0.12))
    canvas.fill(oval(x - size * 0.35, y - size * 0.4, size * 0.22, size * 0.13, turn=-35), p.light, opacity=0.6)
    canvas.fill(bar((x, y - size * 0.9), (x + 5, y - size * 1.2), 7), p.ink)
    leaf(canvas, p, x + 28, y - size * 1.12)


def banana(canvas: Canvas, p: Palette, x: float, y: float, scale: float) -> None:
    outline = [
        (-150, -62),
        (-95, 10),
        (0, 42),
        (95, 15),
        (148, -58),
        (160, -50),
        (125, 50),
        (10, 98),
        (-110, 58),
        (-165, -52),
    ]
    canvas.fill(moved(curve(outline, closed=True), x, y, scale), colour("#f9d65c"), colour("#e2a93a"))
    canvas.fill(bar((x + 152 * scale, y - 56 * scale), (x + 164 * scale, y - 82 * scale), 14 * scale), p.ink)


def bowl(canvas: Canvas, p: Palette) -> None:
    table(canvas, p)
    for x, y, size, shade in ((480, 405, 72, p.accent), (720, 402, 76, p.near), (600, 375, 80, colour("#f0a03c"))):
        fruit(canvas, p, x, y, size, shade)
    canvas.fill(oval(600, 586, 240, 12), p.ink, opacity=0.3)
    half = [(600 + 290 * math.cos(a), 420 + 165 * math.sin(a)) for a in (math.pi * part / 40 for part in range(41))]
    canvas.fill(half, p.light, mix(p.light, p.ground, 0.55))
    canvas.fill(rounded(520, 572, 680, 588, 7), mix(p.light, p.ground, 0.6))
    canvas.fill(bar((345, 462), (855, 462), 9), p.accent, opacity=0.75)


def bottle_and_cup(canvas: Canvas, p: Palette) -> None:
    table(canvas, p)
    canvas.fill(oval(470, 580, 120, 10), p.ink, opacity=0.3)
    canvas.fill(rounded(390, 290, 550, 580, 34), mix(p.near, p.light, 0.35), p.near)
    canvas.fill(rounded(405, 380, 535, 568, 24), p.light, opacity=0.35)
    canvas.fill(rounded(420, 235, 520, 306, 14), p.ink)
    canvas.fill(rounded(448, 200, 492, 246, 10), p.accent)
    for y in (420, 460, 500):
        canvas.fill(bar((505, y), (528, y), 6), p.light)
    canvas.fill(ring(815, 500, 52, 48, width=20), p.accent)
    canvas.fill(oval(735, 580, 105, 9), p.ink, opacity=0.3)
    canvas.fill(curve([(650, 430), (660, 520), (690, 576), (740, 582), (780, 576), (808, 520), (820, 430)]), p.accent,
                mix(p.accent, p.ink, 0.2))  # fmt: skip
    canvas.fill(oval(735, 430, 85, 15), mix(p.ink, p.accent, 0.25))
    for x in (700, 745):
        steam = [(x, 400), (x + 14, 370), (x - 6, 340), (x + 10, 300)]
        canvas.fill(curve(steam) + [(a + 8, b) for a, b in curve(steam)][::-1], p.light, opacity=0.75)


def three_fruits(canvas: Canvas, p: Palette) -> None:
    table(canvas, p)
    canvas.fill(oval(600, 582, 400, 13), p.ink, opacity=0.28)
    fruit(canvas, p, 330, 480, 100, p.accent)
    fruit(canvas, p, 840, 490, 92, colour("#f0a03c"))
    banana(canvas, p, 585, 482, 1.02)


def finish_arch(canvas: Canvas, p: Palette) -> None:
    canvas.fill(box(0, 490, WIDTH, HEIGHT), p.ground, mix(p.ground, p.ink, 0.3))
    canvas.fill([(470, 490), (690, 490), (980, HEIGHT), (180, HEIGHT)], mix(p.light, p.ground, 0.15), p.light)
    for x in (300, 830):
        canvas.fill(rounded(x, 210, x + 50, 560, 8), mix(p.ink, p.far, 0.2), p.ink)
    canvas.fill(rounded(280, 170, 900, 270, 16), p.accent, mix(p.accent, p.ground, 0.25))
    for row in range(2):
        for column in range(24):
            shade = p.ink if (row + column) % 2 else p.light
            left, top = 302 + column * 24, 192 + row * 28
            canvas.fill(box(left, top, left + 24, top + 28), shade)
    runner(canvas, p, 570, 590, 205, p.ground)


def track(canvas: Canvas, p: Palette) -> None:
    canvas.fill(box(0, 455, WIDTH, HEIGHT), mix(p.near, p.ink, 0.1), p.near)
    for lane in range(6):
        outer, inner = 1.0 - lane * 0.135, 1.0 - lane * 0.135 - 0.128
        rings = [oval(700, 760, 960 * size, 290 * size) for size in (outer, inner)]
        canvas.fill(rings[0], p.light)
        canvas.fill(oval(700, 760, 960 * outer - 7, 290 * outer - 3), mix(p.ground, p.light, 0.1), p.ground)
    canvas.fill(oval(700, 760, 960 * 0.19, 290 * 0.19), p.near)
    runner(canvas, p, 420, 590, 200)
    runner(canvas, p, 720, 545, 150, p.light)


def balloons(canvas: Canvas, p: Palette) -> None:
    meadow(canvas, p)
    knot = (594, 505)
    for x, y, size, shade in ((455, 250, 82, p.ground), (735, 235, 86, p.accent), (600, 175, 92, p.light)):
        canvas.fill(bar(knot, (x, y + size * 1.2), 3), p.ink)
        canvas.fill([(x - 11, y + size * 1.3), (x, y + size * 1.12), (x + 11, y + size * 1.3)], mix(shade, p.ink, 0.25))
        edge = mix(shade, p.ink, 0.2)
        canvas.fill(oval(x, y, size, size * 1.18), mix(shade, p.light, 0.2), edge)
        canvas.fill(oval(x - size * 0.4, y - size * 0.5, size * 0.16, size * 0.26, turn=25), p.light, opacity=0.6)
    for x, size, shade in ((330, 150, p.accent), (470, 160, p.light), (600, 170, p.ground), (745, 155, p.light)):
        runner(canvas, p, x, 592, size, shade)


def shoe(canvas: Canvas, p: Palette) -> None:
    meadow(canvas, p)
    canvas.fill(oval(585, 585, 330, 13), p.ink, opacity=0.5)
    upper = [(300, 520), (286, 400), (318, 352), (362, 372), (420, 392), (476, 366), (520, 352), (600, 430), (720, 470),
             (850, 490), (892, 530), (600, 548)]  # fmt: skip
    canvas.fill(curve(upper, closed=True), mix(p.accent, p.light, 0.2), mix(p.accent, p.ink, 0.12))
    canvas.fill(curve([(318, 360), (420, 400), (510, 360), (470, 420), (400, 440), (340, 420)], closed=True), p.ink)
    canvas.fill(curve([(740, 476), (850, 490), (890, 528), (760, 530)], closed=True), p.light)
    for x, y in ((520, 378), (552, 408), (586, 434), (624, 454)):
        canvas.fill(bar((x, y), (x - 40, y + 34), 9), p.light)
    canvas.fill(curve([(292, 410), (352, 440), (366, 524), (298, 520)], closed=True), p.ink, opacity=0.7)
    sole = [(280, 524), (420, 532), (640, 544), (900, 520), (918, 544), (880, 572), (600, 582), (330, 580), (282, 560)]
    canvas.fill(curve(sole, closed=True), p.light, mix(p.light, p.near, 0.3))


def watch(canvas: Canvas, p: Palette) -> None:
    meadow(canvas, p)
    for top, bottom in ((110, 260), (440, 600)):
        canvas.fill(rounded(525, top, 675, bottom, 26), p.accent, mix(p.accent, p.ink, 0.2))
    for y in (132, 160, 552, 578):
        canvas.fill(oval(600, y, 8, 6), p.ink)
    for y in (300, 400):
        canvas.fill(rounded(735, y - 18, 768, y + 18, 8), p.light)
    canvas.fill(oval(600, 350, 155), mix(p.light, p.far, 0.3), mix(p.far, p.ink, 0.3))
    canvas.fill(oval(600, 350, 130), p.ink)
    for part in range(12):
        angle = math.tau * part / 12
        sine, cosine = math.sin(angle), math.cos(angle)
        canvas.fill(bar((600 + 104 * sine, 350 - 104 * cosine), (600 + 116 * sine, 350 - 116 * cosine), 6), p.far)
    canvas.fill(bar((600, 350), (560, 305), 11), p.light)
    canvas.fill(bar((600, 350), (662, 296), 8), p.light)
    canvas.fill(bar((600, 350), (612, 430), 4), p.accent)
    canvas.fill(oval(600, 350, 10), p.accent)


def night_lamp(canvas: Canvas, p: Palette) -> None:
    canvas.fill(box(0, 0, WIDTH, HEIGHT), p.ink, opacity=0.55)
    for x, y in ((90, 80), (220, 150), (340, 60), (520, 120), (640, 50), (790, 95), (930, 60), (1090, 130), (1150, 50)):
        canvas.fill(oval(x, y, 2.6), p.light, opacity=0.8)
    canvas.fill(below(lambda x: 540 + 8 * math.sin(x / 260), WIDTH, HEIGHT), p.ground, p.ink)
    for spread, opacity in ((110, 0.12), (76, 0.14), (42, 0.16)):
        canvas.fill([(447, 336), (1200, 560 - spread), (1200, 560 + spread)], p.sun, opacity=opacity)
    runner(canvas, p._replace(ink=mix(p.far, p.light, 0.1)), 400, 590, 270)
    canvas.fill(oval(447, 336, 9), p.sun)
    tree(canvas, p, 130, 560, 330)
    tree(canvas, p, 950, 555, 240)


SCENES = {
    "running": (running, running_uphill, running_lake),
    "gym": (barbell, kettlebells, steps_and_dumbbell),
    "injury": (bench, roller_and_tape, stepping_stones),
    "nutrition": (bowl, bottle_and_cup, three_fruits),
    "race-day": (finish_arch, track, balloons),
    "gear": (shoe, watch, night_lamp),
}


def main() -> None:
    for number, (topic, scenes) in enumerate(SCENES.items()):
        for variant, scene in enumerate(scenes):
            canvas = Canvas(WIDTH, HEIGHT)
            landscape(canvas, PALETTES[topic], seed=1.3 * number + 2.2 * variant)
            scene(canvas, PALETTES[topic])
            milestone(canvas, PALETTES[topic])
            name = f"{topic}-{variant}.png" if variant else f"{topic}.png"
            canvas.save(Path(__file__).with_name(name))


if __name__ == "__main__":
    main()
