"""A session's network for other programs: ONNX, safetensors, a loader and a card."""
