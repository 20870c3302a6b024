"""The three modalities, in the order that everything here keeps."""

MODALITIES = ("text", "audio", "vision")
STREAMS = MODALITIES[1:]  # those that come as rows of features, whatever the text comes as
