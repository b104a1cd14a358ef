"""Losses, augmentation, optimizer groups, the jitted step and the training loop."""
