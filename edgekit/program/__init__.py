"""Captured programs: capture with `torch.export`, passes on modules, a walk node by node, MACs."""
