"""Apply a plan to a program: for a lowering, or to run it in PyTorch."""
