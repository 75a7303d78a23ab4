"""Text sets: published files, the hub, words and their vectors, and a made-up language for trials."""
