"""Apply a plan: casts or integer codes in the program, or a walk that rounds as the plan says."""
