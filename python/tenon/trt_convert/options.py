"""What Tenon's converters can be told beyond TF-TRT's parameters."""


def _names(value):
    return (value,) if isinstance(value, str) else tuple(str(name) for name in value or ())


def _count(value):
    count = 0 if value is None else int(value)
    if count < 0:
        raise ValueError(f"a number that is not negative is wanted, not {value}")
    return count


class ConverterOptions:
    """Attribute `options` of a converter; set its attributes before convert().

    op_denylist: op types that stay native, besides those of TF_TRT_OP_DENYLIST. node_denylist: names of nodes that stay native.
    maximum_engines: only the largest so many segments become engines; 0 leaves it to TF_TRT_MAX_ALLOWED_ENGINES. threads: the size of
    the team that runs the engines; 0 means TensorFlow's intra-op setting, the CPUs of this process without one. graph_number: the first number of the engines' names,
    TRTEngineOp_<graph>_<engine>. freeze_limit: variables of more bytes in all stay variables instead of becoming constants; 0 means
    256 MiB (TrtGraphConverter: 1 GiB). quiet: show no progress.
    """

    _KINDS = {"op_denylist": _names, "node_denylist": _names, "maximum_engines": _count, "threads": _count, "graph_number": _count,
              "freeze_limit": _count, "quiet": bool}

    def __init__(self):
        for name in self._KINDS:
            setattr(self, name, None)

    def __setattr__(self, name, value):
        if name not in self._KINDS:
            raise AttributeError(f"converters have no option \"{name}\"; there are {', '.join(self._KINDS)}")
        super().__setattr__(name, self._KINDS[name](value))

    def __repr__(self):
        return "ConverterOptions(" + ", ".join(f"{name}={getattr(self, name)!r}" for name in self._KINDS) + ")"
