"""The parts that calls share: decorators, fields, sizes, and the served model."""
