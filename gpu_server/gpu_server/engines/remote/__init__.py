"""What the engines have in common that are reached over HTTP: the process, the wire, and the checks at loading."""
