"""What a precision plan is made from: the range of every node on real photos."""
