"""The second paper's question: which pre-training helps, if any, and how many labels is it worth?

`plan` says what is trained at each scale, `subjects` on whom, `runs` trains and scores, `report` tells.
"""
