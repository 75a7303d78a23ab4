"""Image sets: published files, folders, the hub, facts about each set, and the augmentation of batches."""
