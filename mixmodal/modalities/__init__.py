"""What is special to a modality: label maps of images, spectrograms, padded texts, clouds and meshes.

Any tensor is mixed by the core alone, through an axes pattern; a modality's file or folder holds the rest of its craft.
Imports the core, the methods and `hidden`, and no other modality.
"""
