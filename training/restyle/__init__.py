"""Training the encoders: restyling, autoencoding and contrast, and their loss terms."""
