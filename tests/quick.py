"""Quick compilation: flags of XLA for the tests, which compile many small programs and run each briefly."""

from importlib.metadata import version

# Optimisations are off, and the older emitters, which are twice as fast, write the code. Where jaxlib has no
# such emitters, the unknown flag would end the process.
FLAGS = ["--xla_backend_optimization_level=0"]
if version("jaxlib").startswith("0.10."):
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
