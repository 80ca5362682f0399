"""Hosted notebooks, Kaggle's and Colab's machines. Not a stable interface."""
