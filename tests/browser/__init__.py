"""A real Chromium. A package, so that Chromium, its server and their many open files end with the last test here."""
