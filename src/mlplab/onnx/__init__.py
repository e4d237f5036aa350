"""Trained networks as ONNX models, which run without torch and mlplab. Needs the extra `onnx`."""
