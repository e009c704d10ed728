"""The peers: what people would use instead, each draining the same backlog into an order service that does nothing.

`python/` and `node/` hold one program for each peer, with its settings and where they come from. They run in
environments of their own (`install`), as processes of their own (`drain`): nothing of theirs is imported here.
"""
