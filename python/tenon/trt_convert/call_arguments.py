"""Arguments of converted functions, whatever the tensors are."""


def split(item, convert):
    """(positional, keyword) arguments of what an input function yields: a tensor, a list or tuple of them, or a dictionary.

    Raises RuntimeError for what `convert` cannot make a tensor of."""
    try:
        if isinstance(item, dict):
            return [], {name: convert(value) for name, value in item.items()}
        return [convert(value) for value in (item if isinstance(item, (list, tuple)) else [item])], {}
    except Exception as error:
        raise RuntimeError(f"Failed to convert input to tensor. The input function must yield tensors, lists or tuples of them, or "
                           f"dictionaries, not {_shortened(item)}: {error}") from error


def _shortened(item):
    text = repr(item)
    return text if len(text) <= 200 else text[:200] + "…"


def bind(names, args, kwargs):
    """The values for `names` in their order. Raises TypeError as a call of a function with these parameters would."""
    signature = f"The converted function takes ({', '.join(names)})"
    if len(args) > len(names):
        raise TypeError(f"{signature}; it was given {len(args)} positional arguments")
    values = dict(zip(names, args))
    for name, value in kwargs.items():
        if name not in names:
            raise TypeError(f"{signature}; it got an unexpected keyword argument '{name}'")
        if name in values:
            raise TypeError(f"{signature}; it got two values for '{name}'")
        values[name] = value
    missing = [name for name in names if name not in values]
    if missing:
        raise TypeError(f"{signature}; missing: {', '.join(missing)}")
    return [values[name] for name in names]
