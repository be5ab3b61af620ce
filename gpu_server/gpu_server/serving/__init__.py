"""The models of this server: their state, their queues, their counts."""
