"""Handwritten graphemes, which have three labels each."""
