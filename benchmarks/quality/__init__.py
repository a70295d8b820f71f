"""What the quality claims of README.md and of the model card rest on, measured."""
