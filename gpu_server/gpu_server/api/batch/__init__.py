"""Many requests as one: rows in, results out as they finish, and neither depends on a connection that holds."""
