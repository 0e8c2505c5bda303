"""Reward files that nobody has trained: each is refused by name, before llama.cpp or the cache see anything of it."""

import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsd_graph.errors import ChecksumError, RewardError, WeightsError
from rsd_graph.models.weights import sha256_of
from rsd_graph.rewards.trained.embedded import trained_reward
from rsd_graph.rewards.trained.file import SHIPPED, RewardFile, _digest, load_reward
from rsd_graph.rewards.trained.format import Base, Card
from rsd_graph.rewards.trained.gguf import NAMES, merge

HIDDEN, INNER, LAYERS, RANK = 32, 64, 2, 2
UP = "layers.1.mlp.up_proj"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("RSD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A GGUF file with the weights of a model of two layers; too little of one to run."""
    return write_base(tmp_path / "base.gguf")


def write_base(file: Path, architecture: str = "llama", tensors: dict[str, np.ndarray | None] | None = None) -> Path:
    from gguf import GGUFWriter

    writer = GGUFWriter(file, architecture)
    writer.add_block_count(LAYERS)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    shapes = dict.fromkeys(NAMES.values(), (HIDDEN, HIDDEN))
    shapes |= {"ffn_gate": (INNER, HIDDEN), "ffn_up": (INNER, HIDDEN), "ffn_down": (HIDDEN, INNER)}
    found: dict[str, np.ndarray | None] = {"output_norm.weight": np.ones(HIDDEN, np.float32)}
    for layer in range(LAYERS):
        found |= {f"blk.{layer}.{name}.weight": np.ones(shape, np.float32) for name, shape in shapes.items()}
    for name, tensor in (found | (tensors or {})).items():
        if tensor is not None:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def card(base: Path | None = None, **changes: Any) -> Card:
    return Card(
        **{
            "base": Base(name="base.gguf", sha256=sha256_of(base) if base else "00ff"),
            "family": "lora",
            "layers": LAYERS,
            "parameters": 1e6,
            "centre": 0.5,
            "template": "none",
            "rank": RANK,
            **changes,
        }
    )


def update(inputs: int = HIDDEN, outputs: int = INNER, rank: int = RANK) -> tuple[np.ndarray, np.ndarray]:
    return np.full((rank, inputs), 0.5, np.float16), np.full((outputs, rank), 0.5, np.float16)


def a_reward(base: Path | None = None, **changes: Any) -> RewardFile:
    return RewardFile(card(base, **changes), np.ones(HIDDEN, np.float32), {UP: update()})


def written(
    file: Path,
    tensors: dict[str, np.ndarray] | None = None,
    card_json: str | None = None,
    header: Callable[[dict[str, Any]], Any] = lambda header: header,
) -> Path:
    """A file with any tensors, any card and any header, and the right digest."""
    from safetensors.numpy import save

    tensors = a_reward()._tensors() if tensors is None else tensors
    content = save(tensors, {"rsd_reward": card_json or card().model_dump_json(), "sha256": _digest(tensors)})
    (length,) = struct.unpack_from("<Q", content)
    new = header(json.loads(content[8 : 8 + length]))
    text = new if isinstance(new, bytes) else json.dumps(new).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return file


def test_a_file_as_it_should_be_is_read_and_merged(base: Path, cache: Path, tmp_path: Path) -> None:
    """The others below differ from this one in one thing."""
    from gguf import GGUFReader

    load_reward(written(tmp_path / "r.safetensors"))
    a_reward(base).save(tmp_path / "r.safetensors")
    merged = merge(load_reward(tmp_path / "r.safetensors"), base, sha256_of(base))
    assert merged.parent == cache / "rewards"
    tensors = {tensor.name: tensor for tensor in GGUFReader(merged).tensors}
    assert tensors["blk.1.ffn_up.weight"].tensor_type.name == "Q8_0"
    assert tensors["blk.0.ffn_up.weight"].tensor_type.name == "F32"
    assert load_reward(SHIPPED).card.layers == 14


HALF = np.float16
DOWN_NAME, UP_NAME = f"{UP}.down", f"{UP}.up"


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"norm": None}, "the tensor 'norm' is missing"),
        ({DOWN_NAME: None}, rf"the tensor {UP}\.down is missing"),
        ({UP_NAME: None}, rf"the tensor {UP}\.up is missing"),
        ({"../../etc/passwd.down": np.ones((2, 2), HALF)}, r"'\.\./\.\./etc/passwd\.down' is none of a reward's"),
        ({"extra": np.ones(2, HALF)}, "'extra' is none of a reward's"),
        ({"layers.1.mlp.up_proj": np.ones(2, HALF)}, "is none of a reward's"),
        ({"layers.01.mlp.up_proj.down": np.ones(2, HALF)}, "is none of a reward's"),
        ({"layers.-1.mlp.up_proj.down": np.ones(2, HALF)}, "is none of a reward's"),
        ({"layers.1.mlp.__class__.down": np.ones(2, HALF)}, "is none of a reward's"),
        ({"layers.1.mlp.up_proj.down\n": np.ones(2, HALF)}, "is none of a reward's"),
        ({"\x1b[2J": np.ones(2, HALF)}, r"'\\x1b\[2J' is none of a reward's"),
        ({"norm": np.ones(HIDDEN, np.float64)}, "norm has the type 'F64', and F32 is read"),
        ({"norm": np.ones(HIDDEN, HALF)}, "norm has the type 'F16', and F32 is read"),
        ({"norm": np.ones(HIDDEN, np.int32)}, "norm has the type 'I32'"),
        ({DOWN_NAME: np.ones((RANK, HIDDEN), np.float32)}, "has the type 'F32', and F16 is read"),
        ({"norm": np.ones((HIDDEN, 1), np.float32)}, r"norm has the shape \(32, 1\)"),
        ({"norm": np.array(1, np.float32)}, r"norm has the shape \(\)"),
        ({"norm": np.ones(0, np.float32)}, r"norm has the shape \(0,\)"),
        ({"norm": np.full(HIDDEN, np.nan, np.float32)}, "norm holds a number that is not finite"),
        ({"norm": np.full(HIDDEN, 1e38, np.float32)}, "norm holds a number that is not finite, or too large"),
        ({DOWN_NAME: np.ones(HIDDEN, HALF)}, r"down has the shape \(32,\), and a matrix is needed"),
        ({DOWN_NAME: np.ones((0, HIDDEN), HALF)}, r"down has the shape \(0, 32\)"),
        ({UP_NAME: np.full((INNER, RANK), np.inf, HALF)}, "up holds a number that is not finite"),
        ({DOWN_NAME: np.ones((3, HIDDEN), HALF)}, r"the shapes \(3, 32\) and \(64, 2\), and its card the rank 2"),
        ({DOWN_NAME: None, UP_NAME: None}, "0 changes of weights, and its family is 'lora'"),
        (
            {"layers.7.mlp.up_proj.down": update()[0], "layers.7.mlp.up_proj.up": update()[1]},
            r"changes layers\.7\.mlp\.up_proj, and keeps 2 layers",
        ),
    ],
)
def test_tensors_that_no_reward_has_are_named(tensors: dict[str, np.ndarray | None], why: str, tmp_path: Path) -> None:
    """Missing ones, other ones, other types and shapes, and numbers that are none."""
    found = {**a_reward()._tensors(), **tensors}
    file = written(tmp_path / "r.safetensors", {name: each for name, each in found.items() if each is not None})
    with pytest.raises(WeightsError, match=why) as caught:
        load_reward(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"layers": 10**9}, r"layers: .*less than or equal to 10000, got 1000000000"),
        ({"layers": 0}, "layers"),
        ({"layers": -1}, "layers"),
        ({"layers": 1e300}, "layers"),
        ({"rank": -1}, "rank: "),
        ({"rank": 10**12}, "rank: "),
        ({"centre": 1e300}, "centre: "),
        ({"parameters": -1}, "parameters: "),
        ({"seed": -1}, "seed: "),
        ({"delimiter": ""}, "delimiter: "),
        ({"curve": {"intercept": 1e308, "value": 1e308, "surprisal": 1}}, r"curve\.intercept: "),
        ({"curve": {"intercept": 0, "value": 1}}, r"curve\.surprisal: "),
        ({"family": "../../x"}, "family: "),
        ({"more": 1}, "more: extra inputs"),
        ({"base": {"name": "x", "sha256": "y", "path": "../../x"}}, r"base\.path: extra"),
        ({"base": 5}, "base: "),
        ({"system_prompt": 200_000 * "x"}, "system_prompt: "),
        ({"format": 2}, "another version"),
    ],
)
def test_a_card_that_is_wrong_is_named(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    """Its key, and what is allowed."""
    text = json.dumps({**json.loads(card().model_dump_json()), **changes})
    with pytest.raises(WeightsError, match=why) as caught:
        load_reward(written(tmp_path / "r.safetensors", card_json=text))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "null", '"x"'])
@pytest.mark.parametrize("key", ["centre", "parameters", "intercept"])
def test_numbers_of_a_card_are_finite(key: str, number: str, tmp_path: Path) -> None:
    """JSON as Python reads it has others."""
    curve = {"intercept": 1.0, "value": 1.0, "surprisal": 1.0}
    found = json.loads(card(curve=curve).model_dump_json())
    (found["curve"] if key == "intercept" else found)[key] = "HERE"
    text = json.dumps(found).replace('"HERE"', number)
    with pytest.raises(WeightsError, match=f"{key}: "):
        load_reward(written(tmp_path / "r.safetensors", card_json=text))


def test_a_card_that_is_nested_deeply_is_refused(tmp_path: Path) -> None:
    """Rather than the stack overflowing."""
    deep = card().model_dump_json().replace('"training":{}', f'"training":{{"x":{50_000 * "["}{50_000 * "]"}}}')
    with pytest.raises(WeightsError, match="card of the reward file"):
        load_reward(written(tmp_path / "r.safetensors", card_json=deep))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (lambda _: b"[" * 100_000, "nested too deeply"),
        (lambda _: b"[]", "not an object"),
        (lambda _: b"\xff", "damaged"),
        (lambda header: header | {"norm": 5}, "norm has the type None"),
        (lambda header: {**header, "norm": header["norm"] | {"dtype": "BF16"}}, "norm has the type 'BF16'"),
        (lambda header: {**header, "norm": header["norm"] | {"dtype": [1]}}, "norm has the type"),
        (lambda header: {**header, "norm": header["norm"] | {"shape": [10**15]}}, "damaged"),
        (lambda header: {**header, "norm": header["norm"] | {"shape": [-1]}}, "damaged"),
        (lambda header: {**header, "norm": header["norm"] | {"data_offsets": [0, 10**15]}}, "damaged"),
        (lambda header: json.dumps(header).replace("{", '{"norm": 1, ', 1).encode(), "names 'norm' twice"),
        (lambda header: header | {"__metadata__": 5}, "is no reward file"),
        (lambda header: header | {"__metadata__": {"rsd_reward": 5}}, "is no reward file"),
        (lambda header: header | {"__metadata__": {"big": 2_000_000 * "x"}}, "its header is said to have"),
    ],
)
def test_a_header_that_is_wrong_is_refused(header: Callable[[dict[str, Any]], Any], why: str, tmp_path: Path) -> None:
    """Types, shapes, places, repeated names, and one of a size that no reward needs."""
    with pytest.raises(WeightsError, match=why):
        load_reward(written(tmp_path / "r.safetensors", header=header))


def test_a_header_may_lie_about_its_length(tmp_path: Path) -> None:
    """No memory is taken for it."""
    (tmp_path / "r.safetensors").write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with pytest.raises(WeightsError, match="its header is said to have 9223372036854775808 bytes"):
        load_reward(tmp_path / "r.safetensors")


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    """It may never end."""
    os.mkfifo(tmp_path / "pipe.safetensors")
    for file in (tmp_path, Path("/dev/zero"), tmp_path / "pipe.safetensors"):
        with pytest.raises(WeightsError, match="not a regular file"):
            load_reward(file)


def test_the_digest_is_of_the_metadata(tmp_path: Path) -> None:
    """A file without one is damaged."""
    file = written(
        tmp_path / "r.safetensors", header=lambda h: h | {"__metadata__": {"rsd_reward": card().model_dump_json()}}
    )
    with pytest.raises(ChecksumError):
        load_reward(file)


def test_rewards_that_differ_only_in_shape_are_two(base: Path) -> None:
    """The cache must not take one for the other."""
    one = a_reward(base)
    down, up = one.updates[UP]
    other = replace(one, updates={UP: (down.reshape(HIDDEN, RANK), up)})
    assert one.identity != other.identity


@pytest.mark.parametrize(
    ("reward", "why"),
    [
        (lambda base: a_reward(base, layers=10_000), "keeps 10000 layers, and 'base.gguf' has 2"),
        (lambda base: a_reward(base, layers=3), "keeps 3 layers"),
        (lambda base: replace(a_reward(base), norm=np.ones(64, np.float32)), "base's hidden size is 32"),
        (lambda base: replace(a_reward(base), updates={UP: update(64, 32)}), r"the base's is \(64, 32\)"),
        (
            lambda base: replace(a_reward(base), updates={"layers.5.mlp.up_proj": update()}),
            r"changes layers\.5\.mlp\.up_proj, which 'base\.gguf' does not have",
        ),
        (
            lambda base: replace(a_reward(base, rank=40), updates={UP: update(rank=40)}),
            "rank 40 is larger",
        ),
        (
            lambda base: replace(
                a_reward(base),
                updates={UP: (np.full((RANK, HIDDEN), 6e4, HALF), np.full((INNER, RANK), 6e4, HALF))},
            ),
            "too large",
        ),
        (lambda _: a_reward(), "another model"),
    ],
)
def test_a_reward_that_does_not_fit_its_base_is_refused(
    reward: Callable[[Path], RewardFile], why: str, base: Path, cache: Path
) -> None:
    """By what does not fit; nothing is left in the cache."""
    with pytest.raises(RewardError, match=why):
        merge(reward(base), base, sha256_of(base))
    assert not [each for each in cache.rglob("*") if each.is_file()]


def test_a_base_that_is_damaged_is_refused(tmp_path: Path, cache: Path) -> None:
    """A cut one, one of another architecture, one without the norm, one with something else at a layer's place."""
    cases = {
        "cannot merge": cut(write_base(tmp_path / "cut.gguf")),
        "architecture 'gpt2'": write_base(tmp_path / "other.gguf", "gpt2"),
        "KeyError: 'output_norm": write_base(tmp_path / "bare.gguf", tensors={"output_norm.weight": None}),
        "cannot merge .*invalid literal": write_base(
            tmp_path / "odd.gguf", tensors={"blk.x.attn_q.weight": np.ones(32, np.float32)}
        ),
    }
    for why, file in cases.items():
        with pytest.raises(WeightsError, match=why):
            merge(a_reward(file), file, sha256_of(file))
    assert not [each for each in cache.rglob("*") if each.is_file()]


def cut(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[:200])
    return file


def test_a_real_model_is_not_asked_for_layers_that_it_lacks(tiny_weights: Path, cache: Path, tmp_path: Path) -> None:
    """llama.cpp would end the process."""
    own = card(tiny_weights, layers=31, family="probe", rank=0)
    RewardFile(own, np.ones(576, np.float32)).save(tmp_path / "r.safetensors")
    with pytest.raises(RewardError, match=r"keeps 31 layers, and 'base\.gguf' has 30"):
        trained_reward(tmp_path / "r.safetensors", tiny_weights)
    assert not [each for each in cache.rglob("*") if each.is_file()]
