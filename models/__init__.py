"""Functions of tensors: the layers and networks of the style-conditional StyleGAN, and sampling from it."""
