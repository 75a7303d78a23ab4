"""Image sets: published files, folders, the hub, facts of each set, and the augmentation of batches."""
