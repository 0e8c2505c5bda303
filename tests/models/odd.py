"""Texts at which tokenizers trip."""

ODD = [
    *("\n", "\n\n", "\r\n", " ", "    ", "\t", "\u00a0", "\u200b", "\ufeff"),
    *("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|im", "|>"),
    *("\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}", "\N{FAMILY}", "你好", "e\u0301", "\u0301", "é", "ß"),
    *(
        "word",
        " word",
        "Word",
        "12345",
        ".",
        ":",
        "\\]",
        "\\boxed{",
        "'s",
        "_",
        "-",
        "x" * 60,
        "one two three four five",
    ),
]
