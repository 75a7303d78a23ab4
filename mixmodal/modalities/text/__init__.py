"""Texts: tokens of Hugging Face models, special tokens that stay, batches of like length, and the loss of a trainer."""
