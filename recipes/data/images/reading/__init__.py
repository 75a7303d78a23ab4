"""Reading image files: from a file to pixels, of all files at once or of each when it is needed, and ImageNet."""
