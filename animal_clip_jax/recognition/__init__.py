"""Which animals are in a clip, where no label says it, for a model that wants to be told."""
