"""The measurements behind the quality claims of README.md and of the model card."""
