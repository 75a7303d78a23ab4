"""The demo: what methods do to samples of every modality, and that training with them helps."""
