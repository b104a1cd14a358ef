"""Videos in, predictions out."""
