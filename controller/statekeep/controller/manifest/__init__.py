"""``MachineVersion`` manifests as users write them: text in, values and problems out.

YAML, the schema of a manifest, folders of them, and the edit that approves a preview belong here. What a definition
means does not: ``statekeep.engine.statechart`` judges it.
"""
