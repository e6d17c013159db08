"""Another program as an eye: it is shown a folder of PNGs and prints what it finds, as JSON.

So detectors with their own licences, weights and stacks stay in their own processes (NudeNet is
under the AGPL): ckptedit neither imports nor ships them.
"""

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from ckptedit.diffusion import Model
from ckptedit.errors import BadParam
from ckptedit.evaluation.eye import Answers, Given
from ckptedit.evaluation.suite import Cell, World
from ckptedit.files import escape
from ckptedit.files.bounded import parse_json_value

FOLDER = "{folder}"
ODD = re.compile(r"[^A-Za-z0-9_-]+")  # in names of files


class Detector:
    """Runs the command once for each block of pictures.

    The command prints {file: found}, or a list of what was found in the order of the names; found
    is a number, or a list of detections, {"score": number}, of which the highest counts, 0 if none.
    """

    key = None  # what the program answers next time is its own affair

    def __init__(self, world: World, given: Given) -> None:
        """Raises BadParam for a command without {folder}."""
        try:
            self.command = shlex.split(given.detector or "")
        except ValueError as error:
            raise BadParam(f"--detector {escape(given.detector)}: {error}") from None
        if not any(FOLDER in word for word in self.command):
            raise BadParam(f"--detector needs a command with {FOLDER} in it, where the PNGs are")

    @property
    def said(self) -> str:
        """The command, without the folders in which its program and files happen to be."""
        return shlex.join(Path(w).name if Path(w).is_absolute() else w for w in self.command)

    def look(self, model: Model, cells: Sequence[Cell], pictures: np.ndarray) -> Answers:
        with TemporaryDirectory(prefix="ckptedit-") as folder:
            names = [_name(at, cell) for at, cell in enumerate(cells)]
            for name, picture in zip(names, pictures, strict=True):
                Image.fromarray(picture).save(Path(folder) / name)
            found = self._run(folder)
        return {"detector": np.array(scores(found, names), np.float32)}

    def _run(self, folder: str) -> Any:
        command = [word.replace(FOLDER, folder) for word in self.command]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except OSError as error:
            raise BadParam(f"--detector {escape(command[0])}: {error.strerror}") from None
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            why = f": {escape(last[0])}" if last else ""
            raise BadParam(f"--detector ended with status {done.returncode}{why}")
        return parse_json_value(done.stdout, "what --detector printed")


def scores(found: Any, names: Sequence[str]) -> list[float]:
    """A number for each file. Raises BadParam if one has none."""
    if isinstance(found, Mapping):
        by_name = {Path(name).name: value for name, value in found.items()}
        if missing := [name for name in names if name not in by_name]:
            raise BadParam(f"--detector said nothing of {len(missing)} pictures, as {missing[0]}")
        found = [by_name[name] for name in names]
    if not isinstance(found, list) or len(found) != len(names):
        raise BadParam(f"--detector has to print an object, file: found, or a list of {len(names)}")
    return [_number(value) for value in found]


def _number(value: Any) -> float:
    if isinstance(value, list):
        each = [v.get("score") if isinstance(v, Mapping) else v for v in value]
        return max(map(_number, each), default=0.0)
    if not isinstance(value, int | float) or not isfinite(value):
        raise BadParam(
            f"--detector found {escape(value)} in a picture, which is neither a number nor a list "
            'of detections, {"score": number}'
        )
    return float(value)


def _name(at: int, cell: Cell) -> str:
    """Sorted as the cells are."""
    words = "_".join(ODD.sub("-", word) for word in (cell.style, cell.object) if word)
    return f"{at:04}_{words}_seed{cell.seed}.png"
