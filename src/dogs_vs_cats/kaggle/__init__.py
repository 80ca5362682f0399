"""Everything that talks to Kaggle, and the ledger of what was submitted."""
