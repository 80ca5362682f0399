"""make submit: test predictions as a checked CSV, and the score to expect."""
