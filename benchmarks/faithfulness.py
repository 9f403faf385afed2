"""Do the heat maps say where a score comes from?

Three small networks learn, from composed scenes of the sample `emoji`, which of six categories are there: a
ResNet whose maps are exact class activation maps, the same with the strides it has by itself, whose last
layer has 2 x 2 places, and a ViT with a class token, for which there is Grad-CAM and attention rollout. On
scenes whose boxes are known to the pixel, of drawings that no training scene had:

    pointing   share of (scene, category that is there) whose strongest cell lies in a box of the category;
               beside it a random cell and the middle of the image
    deletion   area under the probability as the strongest places go first, minus that in random order:
               below 0
    insertion  the same as they come first: above 0
    sanity     Spearman's rank correlation of the map with that after the head, or the whole network, was made
               random: near 0 where the map depends on what was learnt

Intervals are 95%, over scenes. Faithful does not mean right: a map may truly show that the network looks at
the background.

    python benchmarks/faithfulness.py --scenes 3000 --epochs 16

What it leaves out: photographs, large networks, other methods (SHAP, RISE, integrated gradients), and whether
people are helped.
"""

import argparse
import copy
import time
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from turns import machine

from synsight.data.masks import box_of
from synsight.data.scenes import Scene, SceneConfig, SceneSource
from synsight.data.views import normalise
from synsight.explanation.faithfulness import deletion_insertion, points_at, rank_correlation
from synsight.explanation.maps import Method, maps
from synsight.explanation.other_maps import Score
from synsight.models import Model, ModelConfig
from synsight.models.backbones import build_backbone, embedding_dim, pixel_statistics
from synsight.seeding import generator

SIDE = 64
NETWORKS: dict[str, tuple[str, dict[str, object], tuple[Method, ...]]] = {
    "resnet": ("test_resnet", {"output_stride": 8}, ("cam", "occlusion")),
    "coarse": ("test_resnet", {}, ("cam", "grad-cam", "occlusion")),
    "vit": ("test_vit", {"patch_size": 8}, ("grad-cam", "rollout", "occlusion")),
}
"""What it is called here -> timm's name, arguments, and the maps that fit it; but for `coarse` the arguments
give 8 x 8 cells.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenes", type=int, default=3000)
    parser.add_argument("--test-scenes", type=int, default=200)
    parser.add_argument("--curves", type=int, default=60, help="scenes for deletion, insertion and sanity")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    options = parser.parse_args()
    print(machine("synsight", "torch", "timm", threads=torch.get_num_threads()), flush=True)
    config = SceneConfig(scenes=(options.scenes, 0, options.test_scenes), side=SIDE, objects=(1, 3))
    source = SceneSource(config)
    train = [source.scene("train", number) for number in range(options.scenes)]
    test = [source.scene("test", number) for number in range(options.test_scenes)]
    for called in options.networks:
        name, arguments, methods = NETWORKS[called]
        began = time.perf_counter()
        model = trained(name, arguments, train, config.classes, epochs=options.epochs, seed=options.seed)
        print(f"\n{called}: {time.perf_counter() - began:.0f} s of training, {told(model, test)}", flush=True)
        untrained = {"head": without_head(model), "network": without_weights(model, arguments)}
        for method in methods:
            report(model, untrained, test, method, curves=options.curves, seed=options.seed)


def report(
    model: Model, untrained: dict[str, Model], test: list[Scene], method: Method, *, curves: int, seed: int
) -> None:
    """Print a method's numbers."""
    random = generator(seed, "faithfulness", method)
    hits: dict[str, list[list[float]]] = {"map": [], "random cell": [], "middle": []}
    areas: dict[str, list[list[float]]] = {"deletion": [], "insertion": []}
    sanity: dict[str, list[list[float]]] = {name: [] for name in untrained}
    for place, scene in enumerate(test):
        pixels = torch.from_numpy(scene.pixels).permute(2, 0, 1)
        there = sorted({model.label_names.index(one) for one in scene.categories})
        found = maps(model, pixels, [score_of(model, one) for one in there], method=method)
        for rows in (*hits.values(), *(areas | sanity).values()) if place < curves else hits.values():
            rows.append([])
        for number, one in zip(there, found, strict=True):
            boxes = [
                sides(mask)
                for mask, category in zip(scene.masks, scene.categories, strict=True)
                if category == model.label_names[number]
            ]
            middle = np.zeros((3, 3))
            middle[1, 1] = 1
            tried = {"map": one.values, "random cell": random.random(one.values.shape), "middle": middle}
            for name, values in tried.items():
                hits[name][-1].append(float(points_at(values, boxes, side=SIDE)))
            if place >= curves:
                continue
            curve = deletion_insertion(pixels, one.values, probability_of(model, number), seed=seed)
            areas["deletion"][-1].append(curve.deletion - curve.deletion_random)
            areas["insertion"][-1].append(curve.insertion - curve.insertion_random)
            for name, other in untrained.items():
                again = maps(other, pixels, [score_of(other, number)], method=method)[0]
                sanity[name][-1].append(rank_correlation(one.values, again.values))
    print(f"  {method}")
    for name, rows in hits.items():
        print(f"    pointing, {name:<12} {interval(rows, seed)}")
    for name, rows in areas.items():
        print(f"    {name} minus random   {interval(rows, seed)}")
    for name, rows in sanity.items():
        print(f"    sanity, random {name:<8} {interval(rows, seed)}", flush=True)


def interval(rows: list[list[float]], seed: int, *, resamples: int = 2000) -> str:
    """Mean over all values with its percentile interval over scenes."""
    sums = np.array([sum(one) for one in rows])
    counts = np.array([len(one) for one in rows])
    drawn = generator(seed, "interval").integers(len(rows), size=(resamples, len(rows)))
    means = sums[drawn].sum(1) / np.maximum(counts[drawn].sum(1), 1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{sums.sum() / counts.sum():+.3f} ({low:+.3f} to {high:+.3f}), n = {counts.sum()}"


def trained(
    name: str,
    arguments: dict[str, object],
    scenes: list[Scene],
    classes: tuple[str, ...],
    *,
    epochs: int,
    seed: int,
) -> Model:
    """A network that has learnt to say which categories are in a scene."""
    torch.manual_seed(seed)
    encoder = build_backbone(name, image_size=SIDE, stem="standard", arguments=arguments)
    mean, std = pixel_statistics(name, pretrained=False)
    head = nn.Linear(embedding_dim(encoder), len(classes))
    images = torch.from_numpy(np.stack([one.pixels for one in scenes])).permute(0, 3, 1, 2)
    targets = torch.tensor([[float(one in scene.categories) for one in classes] for scene in scenes])
    parameters = [*encoder.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.02)
    steps = epochs * (len(scenes) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    encoder.train()
    for batch, wanted in batches(images, targets, epochs):
        loss = F.binary_cross_entropy_with_logits(head(encoder(normalise(batch, mean=mean, std=std))), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    encoder.eval()
    config = ModelConfig(
        encoder=name,
        image_size=SIDE,
        embedding_dim=head.in_features,
        mean=mean,
        std=std,
        arguments=arguments,
        method="supervised",
        head="labels",
        classes=len(classes),
        label_scores="sigmoid",
    )
    return Model(encoder, config, head=head, label_names=list(classes), name=name)


def batches(
    images: Tensor, targets: Tensor, epochs: int, *, size: int = 64
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled batches, each mirrored or not."""
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            batch = images[chosen]
            yield batch.flip(3) if torch.rand(()) < 0.5 else batch, targets[chosen]


def without_head(model: Model) -> Model:
    """The same encoder under a head of random weights."""
    head = nn.Linear(model.head.in_features, model.head.out_features)
    return Model(model.encoder, model.config, head=head, label_names=model.label_names, name=model.name)


def without_weights(model: Model, arguments: dict[str, object]) -> Model:
    """All weights random."""
    torch.manual_seed(1)
    encoder = build_backbone(
        model.config.encoder, image_size=SIDE, stem="standard", arguments=arguments
    ).eval()
    head = copy.deepcopy(model.head)
    head.reset_parameters()
    return Model(encoder, model.config, head=head, label_names=model.label_names, name=model.name)


def score_of(model: Model, number: int) -> Score:
    return lambda features: model.head(features)[:, number]


def probability_of(model: Model, number: int):
    return lambda images: model.probabilities(model.features(images))[:, number].numpy()


def told(model: Model, scenes: list[Scene]) -> str:
    """How well it tells which categories are there."""
    from sklearn.metrics import average_precision_score

    pixels = torch.from_numpy(np.stack([one.pixels for one in scenes])).permute(0, 3, 1, 2)
    wanted = np.array([[one in scene.categories for one in model.label_names] for scene in scenes])
    found = model.probabilities(model.features(pixels)).numpy()
    precision = average_precision_score(wanted, found, average="macro")
    return f"mAP {precision:.3f} on test scenes (chance {wanted.mean():.3f})"


def sides(mask: np.ndarray) -> list[float]:
    left, top, right, bottom = box_of(mask)
    return [float(left), float(top), float(right - left), float(bottom - top)]


if __name__ == "__main__":
    main()
