"""Text sets: published files, the hub, words and their vectors, and a synthetic corpus for trials."""
