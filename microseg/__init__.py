"""microseg: host micro-segmentation for Linux under version control."""
