"""From finished runs to a page: they are read, compared, and shown in tables next to published scores."""
