"""Small text models on disk, and captions, for the tests of this folder."""

import json
from pathlib import Path

import open_clip
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import synsight.data

SAMPLES = Path(synsight.data.__file__).parent / "sample_files"
WORDS = [
    "a",
    "an",
    "the",
    "red",
    "green",
    "car",
    "dog",
    "cat",
    "house",
    "of",
    "on",
    "in",
    "with",
    "small",
    "big",
]
CAPTIONS = [
    "a red car",
    "the dog",
    "a big green house with a dog in the small house of the big cat on a red car with an unheard word",
    "cat",
    "a small dog on the red house",
    "the dog in the car",
]


def sample_captions(*, column: str = "caption", sample: str = "emoji", every: int = 1) -> list[str]:
    captions = pq.read_table(SAMPLES / f"{sample}.parquet", columns=[column])[column].to_pylist()
    return [one for one in dict.fromkeys(captions) if one][::every]


def save_sentence_model(folder: Path, *, padding_side: str = "right", prompt: str | None = None) -> Path:
    """BERT with two layers of 16 over a few words, mean pooling and normalisation."""
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    ids = {word: number for number, word in enumerate([*marks, *WORDS])}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    ends = [("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), marks, strict=True))
    backbone = folder / "backbone"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, padding_side=padding_side, model_max_length=20, **named
    ).save_pretrained(backbone)
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(ids), max_position_embeddings=24, **sizes)
    BertModel(config).save_pretrained(backbone)
    model = SentenceTransformer(
        modules=[Transformer(str(backbone), max_seq_length=20), Pooling(16), Normalize()],
        device="cpu",
        prompts={"usual": prompt} if prompt else None,
        default_prompt_name="usual" if prompt else None,
    )
    model.save(str(folder / "model"))
    return folder / "model"


def clip_config(**text: object) -> dict:
    vision = {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    sizes = {"context_length": 12, "vocab_size": 49_408, "width": 16, "heads": 2, "layers": 2}
    return {"embed_dim": 24, "vision_cfg": vision, "text_cfg": sizes | text}


def save_clip_model(folder: Path, *, custom: bool = False, **text: object) -> torch.nn.Module:
    """A CLIP with towers of 16 in open_clip's layout; `custom`: the text tower's begin with `text.`."""
    torch.manual_seed(2)
    config = clip_config(**text)
    model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # zeros and ones would hide what is left out
            parameter.add_(0.02 * torch.randn_like(parameter))
    folder.mkdir(parents=True, exist_ok=True)
    written = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(written), encoding="utf-8")
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return model
