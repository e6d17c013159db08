"""What holds for every test. These must be set before torch and transformers are imported."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # the tests' tensors are tiny: threads would only wait
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
