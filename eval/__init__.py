"""Numbers about images: features, distances, style accuracy and their report."""
