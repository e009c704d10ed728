"""Package paylatch.payment.v1: may import paylatch.order.v1."""
