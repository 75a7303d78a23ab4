"""Texts: tokens of Hugging Face models, keeping special tokens, batches of similar length, and a Trainer's loss."""
