"""The steps, oldest first: ``first_tables``, ``attempts``, ``money_and_leases``, ``flow_runs``."""
