"""One file a run. `default.py` has every field; the others change what differs."""
