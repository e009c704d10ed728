"""The scheduler: tries again whatever did not reach the order side, until it does or a person is told.

Owns nothing; works on the payment database through the outbox. Any number of them may run. Never imports a server.
"""
