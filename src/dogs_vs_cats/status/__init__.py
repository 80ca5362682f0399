"""Status: how far each recipe is, what to run next; and what could be freed."""
