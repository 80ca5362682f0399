"""make search: better settings for a head, compared on other folds than `make train` reports."""
