"""Apply a plan to a program: casts or integer codes in it, or a walk that rounds as the plan says."""
