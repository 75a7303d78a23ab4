"""Samples and arrays that stay on disk: read when needed, kept in mapped files, checked before they are read."""
