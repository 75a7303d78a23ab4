"""The networks of the reproduced papers, by modality."""
