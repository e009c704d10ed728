"""What every paylatch process shares. Owns the rules, the stores, the outbox, RPC plumbing and delivery.

Layers import downwards only: delivery > (outbox | rpc) > store > rules. Never imports a process.
"""
