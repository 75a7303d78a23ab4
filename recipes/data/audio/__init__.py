"""Sets of spoken words: decoding and its cache, splits, and the changes of waveforms in training."""
