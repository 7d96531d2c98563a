"""The language server: what the command line knows, while one types. Needs pygls (`microseg[lsp]`)."""
