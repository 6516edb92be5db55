"""Neural style transfer: optimising the pixels of an image."""
