"""What `brushwork pack` does: a folder of styles to a curated Parquet data set."""
