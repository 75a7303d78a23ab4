"""Shapes: raw point clouds, voxels in a common frame, triangle meshes and the OFF files that hold them."""
