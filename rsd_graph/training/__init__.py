"""Train a process reward model on the draft itself (`rewards.trained`). Needs the extra `train`.

`pipeline` runs the stages in order, each of which can be resumed: `samples` has the draft solve problems, `labels`
decides which steps are right, `hidden_states` records what the draft (`backbone`) computes at them, `fit` trains
(`probe`, `lora`) and calibrates. `options` is what a user may choose, `workdir` the folder that a run resumes in.
`export` makes a checkpoint for vLLM.
"""
