"""Measurements beside a named peer, each in one run."""
