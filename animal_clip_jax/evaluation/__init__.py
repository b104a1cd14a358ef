"""Metrics of action recognition, and the reports that show them."""
