"""Which kernel serves which rows."""

from contextlib import suppress
from typing import Any

import numpy as np

from emcore.families.base import ExponentialFamily
from emcore.families.gaussian import GaussianFamily
from emcore.families.missing import has_holes
from emcore.kernels.base import Kernel
from emcore.kernels.collapse import distinct_rows
from emcore.kernels.exponential_family import ExponentialFamilyKernel
from emcore.kernels.gaussian import GaussianKernel


def kernel_for(family: Any, x: np.ndarray, weight: np.ndarray | None, plain: Kernel, dtype: Any) -> Kernel:
    """The fastest kernel that has the digits, on distinct rows where that pays; `plain` where there is no faster one.

    `dtype` float32 is heard where the rows are Gaussian; elsewhere passes are in double precision.
    """
    if isinstance(family, GaussianFamily) and not has_holes(x):
        with suppress(np.linalg.LinAlgError):
            return GaussianKernel(family, *distinct_rows(x, weight), plain, dtype)
    elif isinstance(family, ExponentialFamily):
        return ExponentialFamilyKernel(family, *distinct_rows(x, weight), plain)
    return plain
