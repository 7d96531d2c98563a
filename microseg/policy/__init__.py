"""The domain: addresses, services, rules and the reference evaluator. Pure data, no I/O."""
