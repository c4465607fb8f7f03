"""The Open Inference Protocol, version 2, over HTTP: what a question and an answer look like."""
