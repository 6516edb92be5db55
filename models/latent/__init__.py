"""Style codes: directions, walks, and the codes of images."""
