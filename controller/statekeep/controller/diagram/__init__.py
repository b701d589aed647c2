"""Pictures of machines with the actors in them, as Mermaid ``stateDiagram-v2`` text.

A machine and counts in, text out. Where the counts come from, and where the text is shown, is not known here.
"""
