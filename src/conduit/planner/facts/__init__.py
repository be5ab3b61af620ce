"""What a model's configuration says about its memory: number types, quantization, attention."""
