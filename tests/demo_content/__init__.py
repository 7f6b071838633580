"""The demo's articles and pictures are what they promise to be."""
