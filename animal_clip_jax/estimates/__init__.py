"""What a training step would need of devices that are not there, from its compiled program."""
