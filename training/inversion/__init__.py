"""Finding the style codes of images: projection (Karras 2020) and tuning (Roich 2021)."""
