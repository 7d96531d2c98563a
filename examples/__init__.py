"""Things to try microseg with."""
