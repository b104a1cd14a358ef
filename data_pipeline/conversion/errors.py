"""What goes wrong in a conversion."""

from animal_clip_jax.errors import UserError


class ConversionError(UserError):
    """A conversion that cannot be done as asked; what to do is in the message."""
