"""A reward trained on the draft model itself: the file, how a step is scored with it, and llama.cpp's form of it."""
