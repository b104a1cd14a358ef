"""One file a run. `default.py` documents every field once; the others change what differs."""
