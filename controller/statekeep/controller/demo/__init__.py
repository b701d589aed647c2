"""The loan story, told on a stage: a folder that ``statekeep dev`` watches, or a cluster.

The story goes through the API, as a backend would; how a version is shown and approved is the stage's. What is of
use beyond the demonstration does not belong here.
"""
