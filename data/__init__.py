"""Files to tensors: reading pictures, curating folders, packed data sets and the loader."""
