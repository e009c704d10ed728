"""Package paylatch.order.v1: imports nothing of the payment side."""
