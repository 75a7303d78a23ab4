"""Adversarial attacks on image classifiers in plain torch, and what a model still gets right under them."""
