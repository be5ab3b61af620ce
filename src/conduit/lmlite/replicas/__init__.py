"""The running servers of one deployment: who can take a request, and the request on its way there."""
