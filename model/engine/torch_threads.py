"""
The number of threads that torch uses, which decides the last bits of matrix products.

torch keeps it for each thread of Python. In a new one it is set at the first
elementwise operation of some size: a matrix product before that uses all cores, and
adds its terms in another order. And `torch.set_num_threads` changes no other thread
that has it set.
"""

import torch


def use_threads(n: int) -> None:
    """Have torch use n threads for what this thread computes."""
    if torch.get_num_threads() != n:  # asking sets the number of a new thread
        torch.set_num_threads(n)
