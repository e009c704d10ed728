"""`paylatch demo`: the main job from start to end on real processes, one of which is killed in the middle.

Owns the orders, the callers, the accident and the verdict. Learns everything over RPC; opens no database.
"""
