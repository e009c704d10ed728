"""What a process looks after while it runs: is it well, and what does it tell of itself over HTTP.

Knows no service. Never ends a process, and never makes it do anything else than say NOT_SERVING.
"""
