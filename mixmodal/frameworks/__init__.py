"""Thin adapters to training frameworks, each imported where it is used."""
