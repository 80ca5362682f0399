"""make export: one ONNX file, checked against the pipeline."""
