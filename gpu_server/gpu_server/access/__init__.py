"""What every request passes before a route sees it, and the limits on the process itself."""
