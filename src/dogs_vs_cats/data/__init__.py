"""make data: photos from their sources into one table, checked and split in folds."""
