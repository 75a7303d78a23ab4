"""Analyses of the FMix paper alone."""
