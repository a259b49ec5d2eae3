"""From tables to work, and from work to records."""
