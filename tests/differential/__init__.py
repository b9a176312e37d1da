"""The same requests, one by one and as a batch, must leave nothing different: `Equivalence`, looked for by Hypothesis.

`asks` are the nouns, `stage` a world that can be put back, `alone` and `together` the two arms, `differences` compares
what they left behind, `strategies` thinks of requests.
"""
