"""Triangles of polygons, concave ones too."""

import math
from collections.abc import Sequence

Place = tuple[float, float]
SMALL = 1e-9
"""Part of a polygon's area, or of its square extent, that counts as none."""


def triangulated(corners: Sequence[Sequence[float]]) -> list[tuple[int, int, int]]:
    """Divide a polygon in space into triangles of its corners, all turned as it is.

    A polygon that its first corner sees whole, as every convex one is, becomes the fan about that corner. Others lose
    one ear after another: a corner whose triangle with its two neighbours lies inside. Inside is told in the plane
    whose normal is the polygon's own (Newell's), so that corners may lie somewhat outside of it; the triangles then
    meet along the diagonals that were cut. A polygon that has no inside in that plane remains a fan: one without area,
    or one that crosses itself.

    Args:
        corners: n places (x, y, z) in order, n being 3 or more; a place may come twice, as where a hole is cut open.

    Returns:
        n - 2 triples of places in `corners`. Those of corners in a line have no area.

    >>> triangulated([(0, 0, 0), (2, 0, 0), (2, 2, 0), (1, 0.5, 0)])
    [(3, 0, 1), (1, 2, 3)]

    Source: Meisters, Polygons have ears (1975); the normal by Newell, in Sutherland, Sproull and Schumacker (1974).
    """
    count = len(corners)
    fan = [(0, k, k + 1) for k in range(1, count - 1)]
    flat = _projected(corners)
    if count == 3 or not flat:
        return fan
    least = -SMALL * sum(_area(*pair) for pair in zip(flat, [*flat[1:], flat[0]], strict=True))
    if all(_turn(*(flat[k] for k in each)) >= least for each in fan) or _crosses(flat):
        return fan
    return _ears(flat) or fan


def _projected(corners: Sequence[Sequence[float]]) -> list[Place]:
    """The corners in the polygon's plane, turning to the left around it; none if it has no area."""
    origin = corners[0]
    moved = [[value - start for value, start in zip(corner, origin, strict=True)] for corner in corners]
    extent = max(abs(value) for corner in moved for value in corner)
    if not extent:
        return []
    unit = [[value / extent for value in corner] for corner in moved]
    normal = [0.0, 0.0, 0.0]
    for (x, y, z), (u, v, w) in zip(unit, [*unit[1:], unit[0]], strict=True):
        normal[0] += (y - v) * (z + w)
        normal[1] += (z - w) * (x + u)
        normal[2] += (x - u) * (y + v)
    length = math.hypot(*normal)
    if length < SMALL:
        return []
    a, b, c = (value / length for value in normal)
    sign = math.copysign(1.0, c)  # an orthonormal frame of any normal, after Duff et al. (2017)
    slope = -1 / (sign + c)
    first = (1 + sign * a * a * slope, sign * a * b * slope, -sign * a)
    second = (a * b * slope, sign + b * b * slope, -b)
    return [(_dot(corner, first), _dot(corner, second)) for corner in unit]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _area(one: Place, other: Place) -> float:
    """Twice the signed area between an edge and the origin."""
    return one[0] * other[1] - one[1] * other[0]


def _turn(one: Place, other: Place, third: Place) -> float:
    """Twice the area of a triangle, positive where it turns to the left."""
    return (other[0] - one[0]) * (third[1] - one[1]) - (other[1] - one[1]) * (third[0] - one[0])


def _crosses(flat: list[Place]) -> bool:
    """Whether two edges go through each other, which is more than that they touch."""
    edges = list(zip(flat, [*flat[1:], flat[0]], strict=True))
    for place, (a, b) in enumerate(edges):
        for c, d in edges[place + 2 :]:
            if _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0:
                return True
    return False


def _ears(flat: list[Place]) -> list[tuple[int, int, int]]:
    """The triangles of a polygon that turns to the left, cut off one by one; none if it has no ear at some time."""
    left = list(range(len(flat)))
    found = []
    while len(left) > 3:
        at = next((k for k in range(len(left)) if _is_ear(flat, left, k)), None)
        if at is None:  # a corner that lies in line with its neighbours is cut off without any area
            lines = (k for k in range(len(left)) if abs(_turn(*(flat[i] for i in _around(left, k)))) <= SMALL)
            at = next(lines, None)
        if at is None:
            return []
        found.append(_around(left, at))
        del left[at]
    return [*found, (left[0], left[1], left[2])]


def _around(left: list[int], at: int) -> tuple[int, int, int]:
    """A corner between its neighbours, of those that are left."""
    return left[at - 1], left[at], left[(at + 1) % len(left)]


def _is_ear(flat: list[Place], left: list[int], at: int) -> bool:
    """Whether the triangle of a corner and its neighbours has an area and no other corner."""
    a, b, c = (flat[i] for i in _around(left, at))
    if _turn(a, b, c) <= SMALL:
        return False
    return not any(
        min(_turn(a, b, p), _turn(b, c, p), _turn(c, a, p)) >= 0 for p in (flat[i] for i in left) if p not in (a, b, c)
    )
