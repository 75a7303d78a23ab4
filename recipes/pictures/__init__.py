"""Pictures of a run: its curves, and what its mixers do to images, clips, texts and shapes."""
