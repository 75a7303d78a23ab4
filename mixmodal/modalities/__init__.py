"""What is specific to a modality: label maps of images, spectrograms, padded texts, clouds and meshes.

The core alone can mix any tensor, given an axes pattern; a modality's file or folder holds everything else it needs.
It imports the core, the methods and `hidden`, but no other modality.
"""
