"""Readers of the public data sets, and the augmentation of their batches."""
