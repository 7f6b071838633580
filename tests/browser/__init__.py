"""Chromium, as a reader and an operator would use it; screenshots for the documents are made here."""
