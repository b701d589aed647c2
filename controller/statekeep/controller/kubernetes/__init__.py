"""Speaking to the Kubernetes API server: credentials, one session, one error.

What is asked stands with who asks: the operator's objects, the reviews of the event API.
"""
