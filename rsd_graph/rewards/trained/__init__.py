"""A reward trained on the draft model itself: a file of a few megabytes instead of a model of its own.

The draft is cut after its first layers. What is left reads the conversation and the steps; a linear probe of the last
hidden state at the newest step's delimiter, calibrated, gives the reward. The file holds that probe and, for the family
`lora`, low-rank changes to some of the layers. `rsd train-reward` makes one (`rsd_graph.training`).

The probe needs no head of its own: it scales the final norm such that the difference between the logits of two label
tokens, Yes and No, is the reward's log-odds. A cut draft with the file merged in is therefore an ordinary language
model, which llama.cpp (`gguf`) and vLLM (`training.export`) run unchanged, prefix cache included: a step costs its own
tokens, through some of a small model's layers.

After ReProbe (arXiv 2511.06209), which reads frozen hidden states with a small probe, and the label tokens of
Math-Shepherd (arXiv 2312.08935).
"""
