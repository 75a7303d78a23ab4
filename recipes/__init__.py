"""Runnable recipes, one per modality, with the networks and data readers they need."""
