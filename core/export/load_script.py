"""The loader that an export ships beside its weights: torch and torchvision alone."""

from __future__ import annotations

TEMPLATE = '''"""Scores images by model.safetensors, with torch and torchvision alone (card.md)."""
import json, math, struct, sys
from pathlib import Path
import torch, torchvision
from PIL import Image, ImageOps  # torchvision needs Pillow anyway

HERE = Path(__file__).parent
CARD = json.loads((HERE / "card.json").read_text(encoding="utf-8"))
SPEC, SIZE = CARD["input"], CARD["input"]["size_px"]
KINDS = {"F32": torch.float32, "I64": torch.int64}

def load():
    raw = (HERE / "model.safetensors").read_bytes()
    start = 8 + struct.unpack("<Q", raw[:8])[0]
    state = {}
    for name, of in json.loads(raw[8:start]).items():
        if name != "__metadata__":
            first, last = (start + offset for offset in of["data_offsets"])
            flat = torch.frombuffer(bytearray(raw[first:last]), dtype=KINDS[of["dtype"]])
            state[name] = flat.reshape(of["shape"])
    net = torchvision.models.densenet121(num_classes=len(CARD["findings"]))
    if SPEC["channels"] == 1:
        net.features.conv0 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    net.load_state_dict(state)
    return net.eval()

def pixels(image):  # an 8-bit PIL image -> the network's input, as in training
    grey = ImageOps.equalize(image.convert("L")) if SPEC["equalize"] else image.convert("L")
    if SPEC["resize"] == "crop":
        side = min(grey.size)
        left, top = (grey.width - side) // 2, (grey.height - side) // 2
        grey = grey.crop((left, top, left + side, top + side))
    grey = grey.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    shares = torchvision.transforms.functional.pil_to_tensor(grey)[None].float() / 255
    mean, std = (torch.tensor(SPEC[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
    return (SPEC["low"] + shares * (SPEC["high"] - SPEC["low"]) - mean) / std

def probability(finding, logit):  # recalibrated, if the card says so
    of = ((CARD["recalibration"] or {}).get("findings") or {}).get(finding)
    if of:
        at, to = of["at"], of["to"]
        found = to[0] + of["below"] * min(logit - at[0], 0) + of["above"] * max(logit - at[-1], 0)
        for a, b, low, high in zip(at, at[1:], to, to[1:]):
            found += (high - low) / (b - a) * min(max(logit - a, 0), b - a)
        logit = found
    return 1 / (1 + math.exp(-max(min(logit, 700), -700)))

if __name__ == "__main__":
    net = load()
    for file in sys.argv[1:]:
        with torch.inference_mode():
            logits = net(pixels(Image.open(file)))[0].tolist()
        each = dict(zip(CARD["findings"], logits))
        shown = {name: probability(name, logit) for name, logit in each.items()}
        print(json.dumps({"file": file, "logits": each, "probabilities": shown}))
'''
