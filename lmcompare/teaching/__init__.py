"""What shows the objectives rather than measures them: plain values for lectures and pictures."""

SENTENCE = "A list is a sequence of values, and a tuple is a list that never changes."
