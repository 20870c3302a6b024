"""Layers that at least two models share.

A name's suffix is its shape, a letter an axis. The letters mean the same here and in `text`, and a model's
file adds its own only where these do not serve:

    B  clips of a batch                     D  width of the model's states
    T  steps of a sequence: tokens, rows    E  width of an input or a source that is not D
    Q  steps that ask (T where it is clear) F  another width: inside a feed-forward network, of a state
    S  steps of the source that is asked    G  gates of a recurrence side by side
    L  layers                               O  outputs of the head
    H  heads                                C  kinds: classes, token types
    K  width of one head                    M  modalities
    V  entries of a vocabulary              P  positions
    N  clips of a whole split               Z  steps of all clips of a batch, side by side
    1, 2, 3  an axis of that size

In the batch, A and V are the steps of audio and vision, and K counts the labels of a clip.
"""
