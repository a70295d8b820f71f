"""What calls are made of: their form, their fields and sizes, the model they ask."""
