"""Checkpoints of other projects, read and written: OpenAI CLIP, X-CLIP, Animal-CLIP, OpenCLIP and
Hugging Face state dicts to our parameters, and ours to a torch Animal-CLIP state dict."""
