"""Policy revisions in git, and following them."""
