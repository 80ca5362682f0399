"""Everything that talks to Kaggle or keeps what it said; no other package does."""
