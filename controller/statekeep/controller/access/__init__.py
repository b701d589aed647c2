"""Who may call: tokens of a Kubernetes cluster, keys of our own, and what each of them opens.

Nothing here knows HTTP from the server's side; ``api/authorization.py`` asks at the door.
"""
