"""The data waterfall: readings in, day, month and year documents out. Knows no screen."""
