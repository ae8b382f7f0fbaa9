"""Print how the case stable_diffusion_v1_4 compares with diffusers and transformers, on small networks."""

import itertools
import json
import pathlib
import tempfile

import job_stub
import numpy as np
import onnx
import torch
import transformers
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline

MANIFEST = job_stub.enter("stable_diffusion_v1_4")

from case import clip_score, companions, model, noise, scheduler, task, tokens  # noqa: E402
from harness.errors import StageFailure  # noqa: E402
from harness.inputs.generated_pictures import picture  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

CONSTANTS = MANIFEST["preprocess"]["default"]
CORPUS = "a red bicycle on the table, it's 20 past the hour; the cat's café isn't open! " * 3
TEXTS = (
    "A red bicycle, isn't it?",
    "  two\ttabs &  3 numbers: 2024!!  ",
    "Café № 7 — naïve façade 日本語 Ωmega",
    "don't they've we'll I'm you'd 'S",
    "",
    "word " * 100,
    "<|endoftext|> after the end",
)
UNET = {"block_out_channels": [32, 64], "layers_per_block": 1}
BLOCKS = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 8,
}


def published_scheduler():
    return DDIMScheduler(
        beta_start=CONSTANTS["beta_start"],
        beta_end=CONSTANTS["beta_end"],
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
    )


def schedules():
    """Largest difference to DDIMScheduler over whole schedules, and whether the timesteps agree."""
    worst, same = 0.0, True
    random = np.random.RandomState(0)
    for steps in (1, 3, 7, 50, 999, 1000):
        theirs = published_scheduler()
        theirs.set_timesteps(steps)
        ours = scheduler.Ddim(
            steps, CONSTANTS["train_timesteps"], CONSTANTS["beta_start"], CONSTANTS["beta_end"]
        )
        same = same and ours.timesteps == theirs.timesteps.tolist()
        mine = other = random.standard_normal((2, 4, 8, 8)).astype(np.float32)
        for timestep in ours.timesteps:
            predicted = random.standard_normal(mine.shape).astype(np.float32)
            mine = ours.step(predicted, timestep, mine)
            stepped = theirs.step(torch.from_numpy(predicted), timestep, torch.from_numpy(other))
            other = stepped.prev_sample.numpy()
        worst = max(worst, float(np.abs(mine - other).max() / np.abs(other).max()))
    return worst, same, str(mine.dtype)


def noises():
    """Largest difference to torch's own noise, over seeds and shapes."""
    worst = 0.0
    for seed, shape in ((0, (1, 4, 64, 64)), (7, (3, 4, 64, 64)), (2**32 - 1, (16,))):
        theirs = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).numpy()
        worst = max(worst, float(np.abs(noise.normal(seed, shape) - theirs).max()))
    return worst


def tokenizer_folder(folder):
    """A vocabulary and merges as CLIP's files hold them, learnt from a few words."""
    folder.mkdir(parents=True)
    letters = list(tokens._byte_letters().values())
    merges = []
    words = [[*word[:-1], word[-1] + "</w>"] for word in CORPUS.split()]
    for _ in range(40):
        counts = {}
        for word in words:
            for pair in itertools.pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = ["".join(best)]
                at += 1
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    vocabulary += list(dict.fromkeys("".join(pair) for pair in merges))
    vocabulary += [tokens.START, tokens.END]
    ids = {token: number for number, token in enumerate(dict.fromkeys(vocabulary))}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ids


def tokenizers(folder):
    """The texts whose tokens differ from CLIPTokenizer's."""
    tokenizer_folder(folder)
    ours = tokens.BytePairs(folder)
    theirs = transformers.CLIPTokenizer.from_pretrained(str(folder))
    different = []
    for text in TEXTS:
        expected = theirs(text, padding="max_length", max_length=77, truncation=True).input_ids
        if ours.ids(text).tolist() != expected:
            different.append([text, ours.ids(text).tolist()[:20], expected[:20]])
    return different


def small_text_encoder():
    model.TEXT.update(num_hidden_layers=1, intermediate_size=64, num_attention_heads=2)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return transformers.CLIPTextModel(transformers.CLIPTextConfig(**model.TEXT)).eval()


def pipeline():
    """Largest difference of the latents to StableDiffusionPipeline's, and of the last picture."""
    torch.manual_seed(0)
    unet = model._unet_class()(**{**model.UNET, **UNET, **BLOCKS}).eval()
    vae = AutoencoderKL(latent_channels=4, block_out_channels=(8,), norm_num_groups=8).eval()
    encoder = small_text_encoder()
    theirs = StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=None,
        unet=unet,
        scheduler=published_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    # The pipeline shifts every timestep by one; the published runs called the scheduler themselves.
    theirs.scheduler = published_scheduler()
    theirs.set_progress_bar_config(disable=True)
    job = job_stub.job(MANIFEST, ".", options={"steps": 3})
    ours = task.make_task(job)
    ours._companions["text_encoder"] = lambda ids: encoder(torch.from_numpy(ids))[0].numpy()
    batch = {
        "token_ids": np.stack([ours.prepare(text.encode())["token_ids"] for text in TEXTS[:2]])
    }
    module = model._unet_module(unet, None)

    def infer(inputs):
        tensors = [torch.from_numpy(inputs[spec["name"]]) for spec in MANIFEST["model"]["inputs"]]
        return {"out_sample": module(*tensors)[0].numpy()}

    with torch.inference_mode():
        latents = ours.run(infer, batch)["latents"]
        states = torch.from_numpy(ours._states(batch["token_ids"]))
        expected = theirs(
            prompt_embeds=states[1::2],
            negative_prompt_embeds=states[0::2],
            latents=torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0)).repeat(
                2, 1, 1, 1
            ),
            num_inference_steps=3,
            guidance_scale=7.5,
            output_type="latent",
        ).images.numpy()
        single = ours.run(infer, {"token_ids": batch["token_ids"][:1]})["latents"]
        first = ours.core_inputs(batch)
    return {
        "latents": float(np.abs(latents - expected).max() / np.abs(expected).max()),
        "moved": float(np.abs(latents - noise.normal(0, (1, 4, 64, 64))).max()),
        "batch": float(np.abs(latents[:1] - single).max()),
        "core": {name: [list(a.shape), str(a.dtype)] for name, a in first.items()},
    }


def refusal(call, *arguments):
    """How bad input is refused: its kind and message, or that it was not."""
    try:
        call(*arguments)
    except StageFailure as error:
        return [error.kind, error.message]
    return ["accepted", ""]


def unet_folder(place):
    """Whether the UNet of a saved folder is the same again, mapped; and what is said of bad ones."""
    model.UNET.update(UNET)
    given = {**model.UNET, **BLOCKS}
    unet = model._unet_class()(**given).eval()
    model.save(model._unet_module(unet, None), place / "torch")
    unet.save_pretrained(place / "whole" / "unet")
    inputs = torch.ones(2, 4, 8, 8), torch.tensor(3, dtype=torch.int32), torch.ones(2, 77, 768)
    same = [
        torch.equal(
            model.build(str(place / name), "huggingface", False, 0)(*inputs)[0],
            unet(*inputs).sample,
        )
        for name in ("torch", "whole")
    ]
    bad = {}
    weights = place / "torch" / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    first = state.pop("conv_in.bias")
    save_file({**state, "conv_first.bias": first}, weights)
    bad["unet_keys"] = refusal(model.build, str(place / "torch"), "huggingface", False, 0)
    weights.write_bytes(weights.read_bytes()[:-100])
    bad["unet_cut"] = refusal(model.build, str(place / "torch"), "huggingface", False, 0)
    model.UNET["block_out_channels"] = [320, 640, 1280, 1280]
    bad["unet_other"] = refusal(model.build, str(place / "whole"), "huggingface", False, 0)
    return {"same": same, "bad": bad}


def folders(place):
    """Companions from folders as the hub has them (old names of tensors), and folders that are wrong."""
    encoder = small_text_encoder()
    encoder.save_pretrained(str(place / "text_encoder"))
    weights = place / "text_encoder" / "model.safetensors"
    renamed = {"text_model." + name: tensor for name, tensor in load_file(weights).items()}
    renamed["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(renamed, weights, metadata={"format": "pt"})
    ids = np.arange(77)[None]
    with torch.inference_mode():
        again = model.text_encoder(place / "text_encoder")(torch.from_numpy(ids))[0]
        same_text = torch.equal(again, encoder(torch.from_numpy(ids))[0])
    model.VAE.update(sample_size=32, block_out_channels=[8], layers_per_block=1)
    vae = AutoencoderKL(norm_num_groups=8, **model.VAE).eval()
    vae.save_pretrained(place / "vae")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = place / "vae" / "diffusion_pytorch_model.safetensors"
    renamed = {}
    for name, tensor in load_file(weights).items():
        old_name = name
        for new, former in old.items():
            old_name = old_name.replace(f".{new}.", f".{former}.")
        renamed[old_name] = tensor
    save_file(renamed, weights, metadata={"format": "pt"})
    latents = torch.randn(1, 4, 8, 8)
    with torch.inference_mode():
        found = companions.TorchCompanion(place / "vae", "vae")(latents.numpy())
        same_vae = bool(np.array_equal(found, vae.decode(latents).sample.numpy()))
    bad = {}
    del renamed["decoder.conv_in.bias"]
    save_file(renamed, weights, metadata={"format": "pt"})
    bad["missing_key"] = refusal(model.vae_decoder, place / "vae")
    weights.write_bytes(weights.read_bytes()[:-100])
    bad["cut"] = refusal(model.vae_decoder, place / "vae")
    model.VAE["block_out_channels"] = [128, 256, 512, 512]
    bad["other"] = refusal(model.vae_decoder, place / "vae")
    bad["absent"] = refusal(model.build, str(place / "nowhere"), "huggingface", False, 0)
    bad["steps"] = refusal(task.make_task, job_stub.job(MANIFEST, ".", options={"steps": 1001}))
    prompt = task.make_task(job_stub.job(MANIFEST, "."))
    bad["not_utf8"] = refusal(prompt.prepare, b"caf\xe9")
    bad["no_vocabulary"] = refusal(tokens.BytePairs, place)
    return {"text": same_text, "vae": same_vae, "bad": bad}


def exported(place):
    """Small companions as the export leaves them: name → opset, file format, agreement with torch."""
    from case import companion_export

    model.TEXT.update(num_hidden_layers=1, intermediate_size=64, num_attention_heads=2)
    model.VAE.update(sample_size=32, block_out_channels=[32], layers_per_block=1)
    torch.manual_seed(0)
    found = {}
    for name, network in (("text_encoder", model._new_text_encoder()), ("vae", model._new_vae())):
        (place / name).mkdir(parents=True)
        details = companion_export.export(name, model._module_of(name, network), place, 1)
        graph = onnx.load(place / name / companions.NAMES[name], load_external_data=False)
        opset = graph.opset_import[0].version
        found[name] = {**details, "opset": opset, "ir_version": graph.ir_version}
    return found


def judged(place):
    """The CLIP score of a small CLIP against the same by transformers' own processor."""
    ids = tokenizer_folder(place / "tokenizer")
    clip_score.PROJECTION["projection_dim"] = 32
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    text.update(num_attention_heads=2, vocab_size=len(ids), eos_token_id=ids[tokens.END])
    sight = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    sight.update(num_attention_heads=2, image_size=224, patch_size=32)
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config=text, vision_config=sight, projection_dim=32)
    clip = transformers.CLIPModel(config).eval()
    clip.save_pretrained(place / "clip")
    pictures = np.stack([picture(0, number, 512, 512) for number in range(3)])
    texts = list(TEXTS[:3])
    judge = clip_score.ClipScore(place)
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = transformers.CLIPTokenizer.from_pretrained(str(place / "tokenizer"))
    processor = transformers.CLIPProcessor(CLIPImageProcessorPil(), tokenizer)
    inputs = processor(text=texts, images=list(pictures), padding=True, return_tensors="pt")
    pixels = np.stack([clip_score.prepared(p) for p in pictures])
    with torch.inference_mode():
        found = clip(input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"])
        cosines = (found.image_embeds * found.text_embeds).sum(dim=1)
    return {
        "pixels": float(np.abs(pixels - inputs["pixel_values"].numpy()).max()),
        "ours": judge.mean(pictures, texts),
        "theirs": max(float(100 * cosines.mean()), 0.0),
        "apart": float(np.ptp(100 * cosines.numpy())),
        "named": sorted(judge.description),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        document = {
            "schedules": schedules(),
            "noise": noises(),
            "tokens": tokenizers(place / "tokens"),
            "pipeline": pipeline(),
            "folders": folders(place / "folders"),
            "clip": judged(place),
            "exported": exported(place / "exported"),
            "unet": unet_folder(place / "unets"),
        }
    print(json.dumps(document))  # noqa: T201
