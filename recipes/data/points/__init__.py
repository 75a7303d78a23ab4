"""Sets of shapes: meshes and packed voxels, made into points or voxels once and cached."""
