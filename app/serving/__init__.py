"""The loaded model with all that answers for it, and how it is replaced."""
