"""Texts: tokens of Hugging Face models, special tokens that stay, batches of similar length, and a Trainer's loss."""
