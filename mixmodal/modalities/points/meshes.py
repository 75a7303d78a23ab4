"""Triangle meshes: read OFF files, sample points on the surface, and mark the voxels that it crosses."""

import ctypes
import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from mixmodal.core.checks import is_number, is_whole, require
from mixmodal.modalities.points.off import Mesh, read_off

__all__ = ["Mesh", "import_open3d", "into_frame", "normalise", "read_off", "sample_surface", "surface_voxels"]

Method = Literal["uniform", "poisson"]


def sample_surface(
    mesh: Mesh, count: int, *, method: Method = "uniform", normals: bool = False, seed: int = 0
) -> Tensor:
    """Points on the surface, drawn at random by area.

    Args:
        mesh: the mesh.
        count: number of points, 1 or more.
        method: "uniform" for independent points, "poisson" for points that keep a minimum distance from each other.
        normals: add the unit normal of the triangle that each point lies on.
        seed: seed of the draw, 0 to 2^31 - 1; equal seeds give equal points. No other random state is read or changed.

    Returns:
        (count, 3), or (count, 6) with normals, float32, in the unit of the vertices.

    Raises:
        ValueError: `count`, `method` or `seed` is invalid; the mesh has no area.
        ImportError: open3d or one of its dependencies is missing, for "poisson".

    >>> mesh = Mesh(torch.eye(3).double(), torch.tensor([[0, 1, 2]]))
    >>> points = sample_surface(mesh, 5)
    >>> points.shape, bool(torch.isclose(points.sum(1), torch.tensor(1.0)).all())
    (torch.Size([5, 3]), True)

    Source: Osada et al., Shape Distributions (2002), section 4.1, for "uniform"; for "poisson" open3d's
    `sample_points_poisson_disk` after Yuksel, Sample Elimination for Generating Poisson Disk Sample Sets (2015), which
    thins out five times as many uniform points. Points that open3d 0.18 draws itself have the same number in each
    triangle for every seed.
    """
    require(is_whole(count) and count > 0, "count", count, "be a whole number of points, 1 or more")
    require(method in get_args(Method), "method", method, "be 'uniform' or 'poisson'")
    require(is_whole(seed) and 0 <= seed < 2**31, "seed", seed, "be a whole number from 0 to 2^31 - 1")
    candidates = int(count) if method == "uniform" else 5 * int(count)
    drawn = _drawn(mesh, candidates, torch.Generator().manual_seed(int(seed)))
    if method == "poisson":
        drawn = _thinned(mesh, drawn, int(count))
    return drawn[:, : 6 if normals else 3].float()


def surface_voxels(
    mesh: Mesh, resolution: int, *, low: float | Sequence[float] = -1.0, high: float | Sequence[float] = 1.0
) -> Tensor:
    """The cells of a grid that the surface of a mesh crosses.

    Every point of the surface lies in a marked cell, by the convention of `points.voxelize`: a cell includes its lower
    border, and the last one along an axis its upper border too. Cells that the surface only touches at an edge or
    corner may be marked as well.

    Args:
        mesh: the mesh, inside the frame.
        resolution: number R of cells along each axis, 1 or more.
        low: lower corner of the frame, a number or three, one for each axis.
        high: upper corner of the frame, likewise.

    Returns:
        bool (R, R, R), axes in the order of the coordinates.

    Raises:
        ValueError: a vertex lies outside the frame; `resolution` is below 1; `high` is not above `low`.
        ImportError: open3d or one of its dependencies is missing.

    >>> mesh = Mesh(torch.eye(3).double(), torch.tensor([[0, 1, 2]]))
    >>> surface_voxels(mesh, 2, low=0.0).nonzero().tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]

    Source: open3d, `create_from_triangle_mesh_within_bounds`, which tests triangles against cells rather than sampling
    points; the code published with FMix subdivides triangles instead and misses cells that are cut at a corner.
    """
    require(is_whole(resolution) and resolution > 0, "resolution", resolution, "be a whole number of cells, 1 or more")
    corner, end = (_corner(bound, name) for bound, name in ((low, "low"), (high, "high")))
    require(bool((end > corner).all()), "high", high, f"be greater than low={low} along each axis")
    outside = ((mesh.vertices < corner) | (mesh.vertices > end)).any(1)
    if outside.any():
        beyond = mesh.vertices[outside]
        raise ValueError(
            f"mesh has {len(beyond):,} of {len(outside):,} vertices outside the frame from {low} to {high}, with "
            f"coordinates from {beyond.min():.4g} to {beyond.max():.4g}: pass low and high that contain it, or "
            f"scale it with into_frame"
        )
    last = torch.nextafter(torch.tensor(resolution, dtype=torch.float64), torch.tensor(0.0).double())
    cells = torch.minimum((mesh.vertices - corner) / (end - corner) * resolution, last)
    open3d = import_open3d()
    surface = _surface(open3d, cells, mesh.faces)
    bounds = [0.0] * 3, [float(resolution)] * 3
    found = open3d.geometry.VoxelGrid.create_from_triangle_mesh_within_bounds(surface, 1.0, *bounds).get_voxels()
    grid = torch.zeros(resolution, resolution, resolution, dtype=torch.bool)
    grid[torch.tensor([voxel.grid_index.tolist() for voxel in found]).unbind(1)] = True
    return grid


def into_frame(vertices: Tensor) -> Tensor:
    """Scale coordinates into [-1, 1] by the smallest and largest of them all, which keeps proportions.

    Args:
        vertices: (V, 3), floating.

    Returns:
        (V, 3); -1 and 1 are both reached, on the same axis or on two different ones.

    Raises:
        ValueError: all coordinates are equal, or one is not finite.

    >>> into_frame(torch.tensor([[0.0, 1.0, 2.0], [4.0, 1.0, 2.0]]))
    tensor([[-1.0000, -0.5000,  0.0000],
            [ 1.0000, -0.5000,  0.0000]])

    Source: the code published with Harris et al., FMix (2020), which scales to [0, 1].
    """
    least, greatest = vertices.amin(), vertices.amax()
    extent = (greatest - least).item()
    if not 0 < extent < math.inf:
        raise ValueError(f"vertices span {extent} and must span a finite extent above 0; leave this mesh out")
    return (vertices - least) / (greatest - least) * 2 - 1


def normalise(points: Tensor) -> Tensor:
    """Give every cloud zero mean and unit standard deviation along each axis.

    Args:
        points: clouds (..., N, 3), floating.

    Returns:
        Clouds like `points`; along an axis on which a cloud has no extent, up to rounding (10^-6), all values are 0.

    Raises:
        ValueError: `points` has another shape, such as (B, 3, N).

    >>> normalise(torch.tensor([[0.0, 1.0, 5.0], [2.0, 5.0, 5.0]]))
    tensor([[-1., -1.,  0.],
            [ 1.,  1.,  0.]])

    Source: the code published with Harris et al., FMix (2020), for ModelNet10. Deviation: the standard deviation is
    that of the points themselves, not the estimate with N - 1.
    """
    if points.ndim < 2 or points.shape[-1] != 3 or points.shape[-2] < 1:
        raise ValueError(
            f"points has shape {tuple(points.shape)} and must be clouds (..., N, 3); pass points[..., :3] of points "
            f"that carry more, or points.transpose(-2, -1) of coordinates that come first"
        )
    centred = points - points.mean(-2, keepdim=True)
    extent = points.amax(-2, keepdim=True) - points.amin(-2, keepdim=True)
    flat = extent <= 1e-6 * points.abs().amax(-2, keepdim=True)
    deviation = centred.square().mean(-2, keepdim=True).sqrt()
    return torch.where(flat, 0, centred / torch.where(flat, 1, deviation))


def import_open3d() -> Any:
    """Import open3d, even if the system lacks libusb, which its camera drivers need but meshes do not.

    Returns:
        The module.

    Raises:
        ImportError: it is missing; or libusb is, and cannot be loaded from the package libusb-package.

    >>> import_open3d().geometry.TriangleMesh.create_box().has_triangles()
    True
    """
    try:
        import open3d
    except ImportError as error:
        if "libusb" not in str(error):
            raise ImportError(
                "voxels of meshes and method='poisson' need open3d: pip install 'mixmodal[points]'"
            ) from error
        return _with_libusb(error)
    return open3d


def _drawn(mesh: Mesh, count: int, generator: torch.Generator) -> Tensor:
    """Independent points on the surface and the unit normals there, float64 (count, 6)."""
    corners = mesh.vertices.detach().cpu().double()[mesh.faces.cpu()]
    first, second, third = corners.unbind(1)
    normal = torch.linalg.cross(second - first, third - first)
    up_to = normal.norm(dim=1).cumsum(0)
    area = up_to[-1].item() / 2 if len(up_to) else 0.0
    if not 0 < area < math.inf:
        raise ValueError(f"mesh of {len(mesh.faces)} triangles has an area of {area} and no points can be drawn")
    chosen, edge, along = torch.rand(3, count, generator=generator, dtype=torch.float64)
    triangle = torch.searchsorted(up_to, chosen * up_to[-1], right=True).clamp(max=len(up_to) - 1)
    edge = edge.sqrt()
    weight = torch.stack([1 - edge, edge * (1 - along), edge * along], dim=1)
    place = (weight[..., None] * corners[triangle]).sum(1)
    return torch.cat([place, torch.nn.functional.normalize(normal[triangle], dim=1, eps=1e-300)], dim=1)


def _thinned(mesh: Mesh, drawn: Tensor, count: int) -> Tensor:
    """From points with normals (5 · count, 6), a subset (count, 6) whose points keep a distance from each other."""
    open3d = import_open3d()
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(drawn[:, :3].numpy()))
    cloud.normals = open3d.utility.Vector3dVector(drawn[:, 3:].numpy())
    left = _surface(open3d, mesh.vertices, mesh.faces).sample_points_poisson_disk(number_of_points=count, pcl=cloud)
    return torch.cat([_tensor(left.points), _tensor(left.normals)], dim=1)


def _corner(bound: float | Sequence[float], name: str) -> Tensor:
    """A corner of a frame, float64 (3,)."""
    three = isinstance(bound, Sequence) and len(bound) == 3 and all(map(is_number, bound))
    require(is_number(bound) or three, name, bound, "be a number or three, one for each axis")
    return torch.as_tensor(bound, dtype=torch.float64).expand(3)


def _surface(open3d: Any, vertices: Tensor, faces: Tensor) -> Any:
    """An open3d mesh."""
    utility = open3d.utility
    corners = utility.Vector3dVector(vertices.detach().cpu().double().numpy())
    return open3d.geometry.TriangleMesh(corners, utility.Vector3iVector(faces.cpu().int().numpy()))


def _tensor(vectors: Any) -> Tensor:
    """An open3d vector, copied into a tensor."""
    return torch.frombuffer(vectors, dtype=torch.float64).view(-1, 3).clone()


def _with_libusb(error: ImportError) -> Any:
    """Load libusb from its Python package, then import open3d again."""
    try:
        import libusb_package

        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
        import open3d
    except (ImportError, OSError) as failed:
        raise ImportError(
            f"open3d needs libusb ({error}): apt-get install libusb-1.0-0, or pip install 'mixmodal[points]'"
        ) from failed
    return open3d
