"""The command line: one module a command; each prints what its library returns and nothing else."""
