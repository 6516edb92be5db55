"""Files to tensors: reading images, curating folders, packed data sets and the loader."""
