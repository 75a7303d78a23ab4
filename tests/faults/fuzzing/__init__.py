"""Inputs that are changed at random, kept where they reach new lines, and given to all that reads or takes them."""
