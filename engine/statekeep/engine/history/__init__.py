"""What an actor has lived through: the fingerprint of its events, and the paths it is matched with.

Pure. A history is an ordered sequence of event types; machines, versions and actors are not known
here.
"""
