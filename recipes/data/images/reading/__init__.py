"""Reading image files: from a file to pixels, for all files at once or each on demand, and ImageNet."""
