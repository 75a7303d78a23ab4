"""Examples in one file each, which import nothing from the recipes: read one, copy it, change it."""
