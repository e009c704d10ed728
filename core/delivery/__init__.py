"""One path by which a claimed notification reaches the order side: claim → call → record.

The payment server (first attempts) and the scheduler (retries) both go through it. Never makes a call inside a database
transaction, and never begins one on a lease that is shorter than the call may take.
"""
