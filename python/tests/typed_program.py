"""What a program that uses Tenon's public names looks like to a type checker: `mypy --strict` finds nothing. It is not run."""
import pathlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

import tenon
import tenon.tensorflow
from tenon import trt_convert as trt
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


def inputs() -> Iterator[tuple[npt.NDArray[np.float32]]]:
    yield (np.zeros((1, 8, 8, 1), np.float32),)


def convert_as_tftrt_does(source: str, target: pathlib.Path) -> tuple[str, ...]:
    params = trt.DEFAULT_TRT_CONVERSION_PARAMS._replace(precision_mode=trt.TrtPrecisionMode.FP16, maximum_cached_engines=2)
    converter = trt.TrtGraphConverterV2(input_saved_model_dir=source, conversion_params=params)
    converter.options.op_denylist = ["Relu"]
    converter.freeze = True
    function = converter.convert()
    print(function(*next(inputs())))
    converter.build(inputs)
    converter.summary(print_fn=print, detailed=False)
    converter.save(target)
    print(converter.report.notes, params.use_calibration)
    return converter.options.op_denylist
