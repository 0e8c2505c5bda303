"""Train a process reward model on the draft itself (`rewards.trained`). Needs the extra `train`.

`recipe` runs the stages in order, each of them resumable: `samples` has the draft solve problems, `labels` decides
which steps are right, `readings` keeps what the draft, as a `trunk`, thinks of them, `fitting` trains and calibrates on
that. `export` makes a checkpoint for vLLM.
"""
