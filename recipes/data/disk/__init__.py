"""Samples and arrays that stay on the disk: read when needed, kept in mapped files, checked before they are read."""
