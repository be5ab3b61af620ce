"""One call: its arguments, the request, what the answer says, and what it cost."""
