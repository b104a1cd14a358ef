"""The text side before the model: CLIP's tokenizer and the descriptions of actions and animals."""
