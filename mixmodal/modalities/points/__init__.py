"""Shapes: raw point clouds, voxels of a common frame, triangle meshes and the OFF files that hold them."""
