"""make report: one page with what was run and what it sees."""
