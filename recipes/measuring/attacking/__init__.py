"""Adversarial attacks on image classifiers in plain torch, and which of them each figure of the papers has."""
