"""From finished runs to a page: read and compared, beside what was published, as tables."""
