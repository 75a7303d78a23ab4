"""Altered test images: affine deformations, and the common corruptions, made here or as published."""
