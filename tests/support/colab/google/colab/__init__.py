"""Stands for Colab's package where a notebook is tested: a Drive that is a folder, and secrets."""
