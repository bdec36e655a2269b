"""What a program that uses Tenon's public names looks like to a type checker: `mypy --strict` finds nothing. It is not run."""
import pathlib

import numpy as np
import numpy.typing as npt

import tenon
import tenon.tensorflow
from tenon.progress import progress


def convert(source: str, target: pathlib.Path) -> tenon.ConversionReport:
    with progress("converting") as bar:
        report = tenon.convert(source, target, signature_key="serving_default", shapes={"image": (1, 8, 8, 1)}, min_gain=0, verify=True)
        bar.update(1.0, "done")
    for engine in report.engines:
        print(engine["name"], report.reasons().get("node", "no reason"))
    report.save_html(target / "report.html", title="Digits")
    return report


def run(model: pathlib.Path, image: npt.NDArray[np.float32]) -> float:
    try:
        session = tenon.Session(model, threads=2, allow_build=False)
    except tenon.NotFound as error:
        raise SystemExit(str(error)) from error
    sizes = [size for spec in session.inputs for size in spec.shape or () if size is not None]
    loaded = sum(engine.loaded for engine in session.engines)
    results = session.run({"image": image, "scale": [1.0]}, outputs=["probabilities"])
    return float(results["probabilities"].max()) + sum(sizes) + loaded


def plug_in() -> str:
    tenon.tensorflow.build_foreign_engines(False)
    return tenon.tensorflow.load()
