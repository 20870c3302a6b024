"""MFN on CMU-MOSI.

    python -m msa_jax.main --config=configs/mfn_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.927, Corr 0.670, Acc-7 35.83, Acc-2 77.67 (NN/N) and 78.87 (P/N) on word-aligned text
beside the means of audio and vision over time; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("mfn")
    config.data.lowercase = True
    return config
