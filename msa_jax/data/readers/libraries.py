"""Libraries whose objects people leave in pickles, and how each is turned into arrays.

Nothing of them is loaded: what a pickle names tells where it comes from, and what to do about it.
"""

# The package that a pickle names: what its objects are called, and the code that makes arrays of them. Of a
# module and its package the longer name counts.
_LIBRARIES = {
    "torch": ("PyTorch tensors", "tensor.cpu().numpy()"),
    "pandas": ("pandas objects", "frame.to_numpy()"),
    "polars": ("polars objects", "frame.to_numpy()"),
    "pyarrow": ("Arrow tables", "column.to_numpy()"),
    "scipy.sparse": ("sparse matrices of SciPy", "matrix.toarray()"),
    "tensorflow": ("TensorFlow tensors", "tensor.numpy()"),
    "jax": ("JAX arrays", "numpy.asarray(array)"),
    "jaxlib": ("JAX arrays", "numpy.asarray(array)"),
    "cupy": ("CuPy arrays", "cupy.asnumpy(array)"),
    "numpy.ma": ("masked arrays of NumPy", "array.filled(0)"),
    "numpy": ("objects of NumPy other than plain arrays", "numpy.asarray(array)"),
    "PIL": ("pictures of Pillow", "numpy.asarray(picture)"),
}
SAVE = "save the features as arrays, lists and dicts"
_JOBLIB = (
    "the file was written by joblib ({name}); load it in Python with joblib.load and save what comes out by "
    "pickle.dump"
)
TORCH = (
    "the file was written by torch.save; load it in Python with torch.load, make an array of each PyTorch "
    "tensor by {code}, and save the whole with pickle.dump"
).format(code=_LIBRARIES["torch"][1])
_TENSORS = ("the instruction PERSID", "the instruction BINPERSID")  # how torch.save refers to its storages


def refusal(name: str, module: str) -> str:
    """What a pickle holds that is not loaded, and the mend, as the end of a line.

    Args:
      name: what it asks for, such as "torch._utils._rebuild_tensor_v2".
      module: of that name; "" for an instruction.
    """
    if name in _TENSORS:
        return TORCH
    if module.split(".")[0] == "joblib":
        return _JOBLIB.format(name=name)
    found = [package for package in _LIBRARIES if f"{module}.".startswith(f"{package}.")]
    if found:
        what, code = _LIBRARIES[max(found, key=len)]
        return (
            f"the pickle holds {what} ({name}), which are not loaded; make an array of each in Python by "
            f"{code}, and save the whole again with pickle.dump"
        )
    if module == "__main__":
        return (
            f"the pickle holds objects of a class of the script that wrote it ({name}), which are not "
            f"loaded; {SAVE}"
        )
    return (
        f"the pickle asks for {name}, which is neither a NumPy array nor a plain container; nothing else is "
        f"loaded: {SAVE}"
    )
