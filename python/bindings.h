// What the parts of the native module share.
#pragma once

#include <nanobind/nanobind.h>

#include "tenon/tensor.h"

namespace tenon_python {

// An array as the Python side hands it over: (dtype name, shape, address, object that owns the memory), or for strings
// ("string", shape, list of bytes, None). Borrows the memory. Throws tenon::Error.
tenon::Tensor to_tensor(const nanobind::tuple& array);

// The inverse: (dtype name, shape, uint8 array that owns the tensor), or ("string", shape, list of bytes). Throws tenon::Error for
// resources.
nanobind::tuple to_python(const tenon::Tensor& tensor);

// Stepwise conversion and engine resources.
void register_conversion(nanobind::module_& module);

}  // namespace tenon_python
