"""Neural style transfer: optimising the pixels of a picture."""
