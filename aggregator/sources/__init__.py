"""What devices and other programs really send, as readings: a pure module for each format."""
