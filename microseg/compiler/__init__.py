"""From a directory of policy text to an image of map entries."""
