"""Collections that `brushwork fetch` downloads or draws."""
