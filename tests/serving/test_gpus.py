from rsd_graph.serving.gpus import GPU, parse_gpus

TABLE = "0, GPU-aa11, 81559, 81078\n1, GPU-bb22, 81559, 40000\n2, GPU-cc33, [N/A], [N/A]\n\n"


def test_gpus_are_read_with_what_is_free() -> None:
    """In GiB; one that tells no memory is left out."""
    assert [gpu.index for gpu in parse_gpus(TABLE, None)] == [0, 1]
    assert parse_gpus(TABLE, None)[1] == GPU(1, 81559 / 1024, 40000 / 1024)


def test_only_visible_gpus_count() -> None:
    """By index or by UUID; an empty list is none."""
    assert [gpu.index for gpu in parse_gpus(TABLE, "1")] == [1]
    assert [gpu.index for gpu in parse_gpus(TABLE, "GPU-aa11,1")] == [0, 1]
    assert parse_gpus(TABLE, "") == []
