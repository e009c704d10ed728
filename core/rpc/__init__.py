"""The RPC plumbing every process shares: servers, channels, the mapping of errors. Knows no rule and no table."""
