"""The student, its initial weights, and the stages that train it: the loop, the schedule of phases,
the losses and the held-out figures.
"""
