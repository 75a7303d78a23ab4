"""Triangulation of polygons, including concave ones."""

import math
from collections.abc import Sequence

Place = tuple[float, float]
SMALL = 1e-9
"""Fraction of a polygon's area, or of its squared extent, that counts as zero."""


def triangulated(corners: Sequence[Sequence[float]]) -> list[tuple[int, int, int]]:
    """Divide a polygon in space into triangles between its corners, with the same orientation as the polygon.

    A polygon that is wholly visible from its first corner, as every convex one is, becomes the fan about that corner.
    Others lose one ear after another: a corner whose triangle with its two neighbours lies inside. Inside is judged in
    the plane with the polygon's own (Newell's) normal, so corners may lie slightly off it; the triangles then meet
    along the diagonals that were cut. A polygon that has no inside in that plane, because it has no area or crosses
    itself, becomes a fan too.

    Args:
        corners: n points (x, y, z) in order, with n of 3 or more; a point may occur twice, as when a hole is cut open.

    Returns:
        n - 2 triples of indices into `corners`. Triangles of collinear corners have no area.

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
    """The corners in the polygon's plane, anticlockwise; empty if it has no area."""
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
    sign = math.copysign(1.0, c)  # an orthonormal basis for any normal, after Duff et al. (2017)
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
    """Twice the signed area of a triangle, positive if it is anticlockwise."""
    return (other[0] - one[0]) * (third[1] - one[1]) - (other[1] - one[1]) * (third[0] - one[0])


def _crosses(flat: list[Place]) -> bool:
    """Whether two edges properly cross each other, not just touch."""
    edges = list(zip(flat, [*flat[1:], flat[0]], strict=True))
    for place, (a, b) in enumerate(edges):
        for c, d in edges[place + 2 :]:
            if _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0:
                return True
    return False


def _ears(flat: list[Place]) -> list[tuple[int, int, int]]:
    """The triangles of an anticlockwise polygon, clipped ear by ear; empty if at some point it has no ear left."""
    left = list(range(len(flat)))
    found = []
    while len(left) > 3:
        at = next((k for k in range(len(left)) if _is_ear(flat, left, k)), None)
        if at is None:  # a corner collinear with its neighbours is clipped as a triangle without area
            lines = (k for k in range(len(left)) if abs(_turn(*(flat[i] for i in _around(left, k)))) <= SMALL)
            at = next(lines, None)
        if at is None:
            return []
        found.append(_around(left, at))
        del left[at]
    return [*found, (left[0], left[1], left[2])]


def _around(left: list[int], at: int) -> tuple[int, int, int]:
    """A corner between its neighbours, among the corners that are left."""
    return left[at - 1], left[at], left[(at + 1) % len(left)]


def _is_ear(flat: list[Place], left: list[int], at: int) -> bool:
    """Whether the triangle of a corner and its neighbours has an area and contains no other corner."""
    a, b, c = (flat[i] for i in _around(left, at))
    if _turn(a, b, c) <= SMALL:
        return False
    return not any(
        min(_turn(a, b, p), _turn(b, c, p), _turn(c, a, p)) >= 0 for p in (flat[i] for i in left) if p not in (a, b, c)
    )
