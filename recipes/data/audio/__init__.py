"""Sets of spoken words: decoding and its cache, splits, and changes to waveforms in training."""
