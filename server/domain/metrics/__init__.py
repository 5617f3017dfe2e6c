"""How honest confidences and probabilities are, and what pure chance would make of each figure.

A confidence stands beside whether it was borne out: for a category, the confidence of the
answer and whether the answer is right; for an attribute, the probability that it is present
and whether it is. `scores` and class-wise figures take the probabilities of all labels.
"""
