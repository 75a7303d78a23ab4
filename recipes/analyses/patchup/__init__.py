"""What PatchUp is made of: `python -m recipes.analyses.patchup.NAME --help`."""
