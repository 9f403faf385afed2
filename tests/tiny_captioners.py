"""Captioners of a few thousand weights on disk, in the layout of the hub; one of them has learnt colours."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPImageProcessor,
    CLIPVisionConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "yellow": (230, 220, 20)}
WORDS = ["a", "square", *COLOURS, "image", "of", "this", "caption"]
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<image>"]
SIZE = 16


def square(colour: str, *, size: int = 24, seed: int = 0) -> bytes:
    """A square of one colour with some noise, as PNG."""
    noise = np.random.default_rng(seed).integers(-15, 16, (size, size, 3))
    pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def tokenizer(*, unknown_ends: bool = True) -> PreTrainedTokenizerFast:
    ids = {word: number for number, word in enumerate([*MARKS, *WORDS])}
    words = Tokenizer(WordLevel(ids, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    ends = [("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    if unknown_ends:
        words.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        bos_token="[CLS]",
        eos_token="[SEP]",
        additional_special_tokens=["<image>"],
        model_max_length=32,
    )


def save_blip(folder: Path, *, steps: int = 80) -> Path:
    """BLIP that says "a red square" of red squares; with 0 steps it says nonsense."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    text = {
        **sizes,
        "vocab_size": len(MARKS) + len(WORDS),
        "max_position_embeddings": 32,
        "encoder_hidden_size": 32,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "pad_token_id": 0,
    }
    config = BlipConfig(
        text_config=text, vision_config={**sizes, "image_size": SIZE, "patch_size": 8}, projection_dim=16
    )
    model = BlipForConditionalGeneration(config)
    sides = {"height": SIZE, "width": SIZE}
    processor = BlipProcessor(BlipImageProcessor(size=sides), tokenizer())
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    names = list(COLOURS)
    for step in range(steps):
        chosen = [names[(step + n) % len(names)] for n in range(8)]
        images = [Image.open(io.BytesIO(square(one, seed=step * 8 + n))) for n, one in enumerate(chosen)]
        inputs = processor(images=images, text=[f"a {one} square" for one in chosen], return_tensors="pt")
        inputs.pop("token_type_ids", None)
        loss = model(**inputs, labels=inputs["input_ids"]).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_encoder_decoder(folder: Path) -> Path:
    """A ViT and a GPT-2 of random weights, saved in parts that know nothing of each other."""
    torch.manual_seed(0)
    vision = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=SIZE,
        patch_size=8,
    )
    text = GPT2Config(
        vocab_size=len(MARKS) + len(WORDS),
        n_positions=64,
        n_embd=16,
        n_layer=1,
        n_head=2,
        add_cross_attention=True,
        is_decoder=True,
        bos_token_id=2,
        eos_token_id=3,
    )
    model = VisionEncoderDecoderModel(encoder=ViTModel(vision), decoder=GPT2LMHeadModel(text))
    model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = 2
    model.config.pad_token_id = model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": SIZE, "width": SIZE}).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def save_chat_model(folder: Path) -> Path:
    """A LLaVA of random weights with a chat template."""
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=SIZE,
        patch_size=8,
    )
    text = LlamaConfig(
        vocab_size=len(MARKS) + len(WORDS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=2048,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=MARKS.index("<image>"))
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> "
        "{% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}"
    )
    sides = {"height": SIZE, "width": SIZE}
    images = CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size=sides)
    LlavaProcessor(
        images,
        tokenizer(unknown_ends=False),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)
    return folder
