"""Examples in one file each, which import nothing of the recipes: read one, copy it, change it."""
