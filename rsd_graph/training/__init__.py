"""Train a process reward model on the draft itself (`rewards.trained`). Needs the extra `train`.

`pipeline` runs the stages in order, each of them resumable: `samples` has the draft solve problems, `labels` decides
which steps are right, `hidden_states` records what the draft (`backbone`) computes at them, `fitting` trains and
calibrates on that. `export` makes a checkpoint for vLLM.
"""
