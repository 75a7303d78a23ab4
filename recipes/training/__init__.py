"""How a recipe trains: the command line, what mixes and where, the one loop, and the run on disk."""
