"""Everything that can go wrong for a reason the user can fix.

The command line prints these as one line and exits with status 2, or with 1 where it says so. Any
other exception is a bug in ckptedit, and keeps its traceback.
"""


class CkptError(Exception):
    """The base class. A message names the culprit, what was wrong, and the fix if there is one."""


class BadCheckpoint(CkptError):
    """A file is missing, truncated, or not a safetensors checkpoint."""


class BadParam(CkptError):
    """A hyperparameter is outside the range in which its method is defined."""


class Incompatible(CkptError):
    """Two checkpoints, or an edit and its checkpoint, do not have the same tensors."""


class Busy(CkptError):
    """What is needed is held by others at the moment, or they went away. The same again may do:
    exit status 75, EX_TEMPFAIL of sysexits.h."""


class DoesNotFit(Incompatible):
    """A delta was made from other tensors than those it is to be applied to. Exit status 1."""


class LimitExceeded(CkptError):
    """A limit that was asked for cannot be kept. Exit status 1."""


class OutputExists(CkptError):
    """The output is there already, or is one of the inputs."""


class Overflow(CkptError):
    """A new value does not fit into the number format of its tensor, or is NaN."""


class UnknownName(CkptError):
    """No method, model family or group of tensors has this name."""


class WriteFailed(CkptError):
    """The output could not be written whole: the disk is full, or the folder is read-only."""
