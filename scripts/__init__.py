"""Doors: each script parses, builds and runs one verb of the command `brushwork`."""
