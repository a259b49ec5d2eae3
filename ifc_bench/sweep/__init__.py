"""Plans the work of tables, runs it, and writes its records."""
