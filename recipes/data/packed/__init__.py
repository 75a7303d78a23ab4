"""Small sets of real data that come with the recipes; README.md beside this file has their sources and licences."""
