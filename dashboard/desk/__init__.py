"""The support desk: find a device, say why, and see what is known about it."""
