"""Hosted notebooks: what Kaggle's and Colab's machines need before the stages can run."""
