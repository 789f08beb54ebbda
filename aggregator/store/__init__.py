"""Where documents live: one port, and the stores behind it."""
