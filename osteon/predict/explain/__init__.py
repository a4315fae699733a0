"""Where in an image a classifier looked."""
