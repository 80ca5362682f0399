"""The index of all reports: datasets, recipes and submissions on one page."""
