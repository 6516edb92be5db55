"""The verb `brushwork pack`: from a folder of styles to a curated Parquet data set."""
