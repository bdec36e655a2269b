// The native half of the Python package: sessions and conversion on plain buffers. python/tenon/ makes NumPy of them.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>

#include "bindings.h"
#include "bindings_report.h"
#include "tenon/convert.h"
#include "tenon/session.h"
#include "tenon/version.h"

namespace nb = nanobind;

namespace {

using tenon::DataType;
using tenon::Tensor;

// Keeps a Python object alive; whoever releases it need not hold the GIL.
std::shared_ptr<const void> keep_object(nb::handle object) {
  return {nb::borrow(object).release().ptr(), [](const void* kept) {
            const nb::gil_scoped_acquire gil;
            Py_DECREF(static_cast<PyObject*>(const_cast<void*>(kept)));
          }};
}

}  // namespace

namespace tenon_python {

Tensor to_tensor(const nb::tuple& array) {
  const DataType dtype = tenon::dtype_from_name(nb::cast<std::string>(array[0]));
  const tenon::Shape shape(nb::cast<std::vector<std::int64_t>>(array[1]));
  if (dtype == DataType::kString) {
    Tensor tensor(dtype, shape);
    auto elements = tensor.flat<std::string>();
    const nb::list values = nb::cast<nb::list>(array[2]);
    if (values.size() != elements.size()) throw tenon::Error(tenon::ErrorCode::kInvalidArgument, "as many strings as the shape has are needed");
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const nb::bytes value = nb::cast<nb::bytes>(values[i]);
      elements[i].assign(value.c_str(), value.size());
    }
    return tensor;
  }
  return Tensor::borrow(dtype, shape, reinterpret_cast<void*>(nb::cast<std::uintptr_t>(array[2])), keep_object(array[3]));
}

nb::tuple to_python(const Tensor& tensor) {
  const std::string dtype(tenon::dtype_name(tensor.dtype()));
  if (tensor.dtype() == DataType::kString) {
    nb::list values;
    for (const std::string& value : tensor.flat<std::string>()) values.append(nb::bytes(value.data(), value.size()));
    return nb::make_tuple(dtype, tensor.shape().dims(), values);
  }
  if (tensor.dtype() == DataType::kResource || tensor.dtype() == DataType::kVariant) {
    throw tenon::Error(tenon::ErrorCode::kUnsupported, "an output is a resource; it has no value outside the session");
  }
  auto* kept = new Tensor(tensor);
  const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<Tensor*>(p); });
  const std::size_t bytes = tensor.byte_size();
  return nb::make_tuple(dtype, tensor.shape().dims(),
                        nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>>(kept->data(), {bytes}, owner));
}

}  // namespace tenon_python

namespace {

using tenon_python::to_python;
using tenon_python::to_tensor;

struct Plain {
  nb::dlpack::dtype_code code;
  std::uint8_t bits;
  DataType dtype;
};

// Dtypes that NumPy and Tenon have alike.
constexpr Plain kPlain[] = {
    {nb::dlpack::dtype_code::Float, 32, DataType::kFloat32},   {nb::dlpack::dtype_code::Float, 64, DataType::kFloat64},
    {nb::dlpack::dtype_code::Float, 16, DataType::kFloat16},   {nb::dlpack::dtype_code::Int, 8, DataType::kInt8},
    {nb::dlpack::dtype_code::Int, 16, DataType::kInt16},       {nb::dlpack::dtype_code::Int, 32, DataType::kInt32},
    {nb::dlpack::dtype_code::Int, 64, DataType::kInt64},       {nb::dlpack::dtype_code::UInt, 8, DataType::kUInt8},
    {nb::dlpack::dtype_code::UInt, 16, DataType::kUInt16},     {nb::dlpack::dtype_code::UInt, 32, DataType::kUInt32},
    {nb::dlpack::dtype_code::UInt, 64, DataType::kUInt64},     {nb::dlpack::dtype_code::Bool, 8, DataType::kBool},
    {nb::dlpack::dtype_code::Complex, 64, DataType::kComplex64}, {nb::dlpack::dtype_code::Complex, 128, DataType::kComplex128},
};

// An array of a plain dtype that lies dense and aligned is passed as it is; an invalid tensor for anything else. The interpreter's
// own work would cost many times more after a run has filled the caches.
Tensor plain_array(nb::handle value) {
  nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu> array;
  if (nb::isinstance<nb::bytes>(value) || !nb::ndarray_check(value) || !nb::try_cast(value, array, false) || array.size() == 0) return {};
  const nb::dlpack::dtype found = array.dtype();
  const auto match = std::find_if(std::begin(kPlain), std::end(kPlain), [&](const Plain& plain) {
    return found.code == static_cast<std::uint8_t>(plain.code) && found.bits == plain.bits && found.lanes == 1;
  });
  const auto address = reinterpret_cast<std::uintptr_t>(array.data());
  if (match == std::end(kPlain) || address % std::min<std::size_t>(8, match->bits / 8) != 0) return {};
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < array.ndim(); ++i) dims.push_back(static_cast<std::int64_t>(array.shape(i)));
  return Tensor::borrow(match->dtype, tenon::Shape(std::move(dims)), const_cast<void*>(array.data()), keep_object(value));
}

// The array of a result with a plain dtype, which shares its memory; None for others.
nb::object plain_result(const Tensor& tensor) {
  const auto match = std::find_if(std::begin(kPlain), std::end(kPlain), [&](const Plain& plain) { return plain.dtype == tensor.dtype(); });
  if (match == std::end(kPlain) || tensor.num_elements() == 0) return nb::none();
  auto* kept = new Tensor(tensor);
  const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<Tensor*>(p); });
  const std::vector<std::size_t> dims(tensor.shape().begin(), tensor.shape().end());
  const nb::dlpack::dtype dtype{static_cast<std::uint8_t>(match->code), match->bits, 1};
  return nb::cast(nb::ndarray<nb::numpy>(kept->data(), dims.size(), dims.data(), owner, nullptr, dtype));
}

// {name: array} as tensors. What is no plain array goes through to_native(value, name).
std::map<std::string, Tensor> to_tensors(const nb::dict& feeds, const nb::callable& to_native) {
  std::map<std::string, Tensor> tensors;
  for (const auto& [key, value] : feeds) {
    Tensor tensor = plain_array(value);
    if (!tensor.valid()) tensor = to_tensor(nb::cast<nb::tuple>(to_native(value, key)));
    tensors.emplace(nb::cast<std::string>(key), std::move(tensor));
  }
  return tensors;
}

// Feeds and results are {name: array}. What is no plain array goes through to_native(value, name) and to_numpy(result).
nb::dict run(tenon::Session& session, const nb::dict& feeds, const std::string& signature_key, const std::vector<std::string>& outputs,
             const nb::callable& to_native, const nb::callable& to_numpy) {
  const std::map<std::string, Tensor> tensors = to_tensors(feeds, to_native);
  std::map<std::string, Tensor> results;
  {
    const nb::gil_scoped_release no_gil;
    results = session.run(tensors, signature_key, outputs);
  }
  nb::dict arrays;
  for (const auto& [name, tensor] : results) {
    nb::object array = plain_result(tensor);
    arrays[name.c_str()] = array.is_none() ? nb::object(to_numpy(to_python(tensor))) : array;
  }
  return arrays;
}

nb::list profile(tenon::Session& session, const nb::dict& feeds, const std::string& signature_key, const nb::callable& to_native) {
  const std::map<std::string, Tensor> tensors = to_tensors(feeds, to_native);
  std::vector<tenon::ProfileEntry> entries;
  {
    const nb::gil_scoped_release no_gil;
    session.profile(tensors, signature_key);  // makes what the first profiled call makes
    entries = session.profile(tensors, signature_key);
  }
  return tenon_python::profile_list(entries);
}

nb::list describe(const std::vector<tenon::TensorSpec>& specs) {
  nb::list list;
  for (const tenon::TensorSpec& spec : specs) {
    nb::object shape = nb::none();
    if (spec.known_rank) shape = nb::cast(spec.shape);
    list.append(nb::make_tuple(spec.name, std::string(tenon::dtype_name(spec.dtype)), shape));
  }
  return list;
}

tenon::SessionOptions session_options(const std::string& signature_key, const std::vector<std::string>& tags,
                                      const std::vector<std::string>& inputs, const std::vector<std::string>& outputs, bool native,
                                      int threads, bool allow_build) {
  tenon::SessionOptions options;
  options.signature_key = signature_key;
  options.tags = tags;
  options.inputs = inputs;
  options.outputs = outputs;
  options.native = native;
  options.threads = threads;
  options.allow_build = allow_build;
  return options;
}

// Options arrive as a dictionary whose keys are ConvertOptions' fields; unknown keys are refused. Returns (report as JSON, nodes).
nb::tuple convert(const std::string& input, const std::string& output, const nb::dict& given) {
  tenon::ConvertOptions options;
  for (const auto& [key, value] : given) {
    const std::string name = nb::cast<std::string>(key);
    if (name == "signature_keys") options.signature_keys = nb::cast<std::vector<std::string>>(value);
    else if (name == "tags") options.tags = nb::cast<std::vector<std::string>>(value);
    else if (name == "precision") options.precision = nb::cast<std::string>(value);
    else if (name == "minimum_segment_size") options.minimum_segment_size = nb::cast<int>(value);
    else if (name == "op_denylist") options.op_denylist = nb::cast<std::vector<std::string>>(value);
    else if (name == "shapes") options.shapes = nb::cast<tenon::NamedShapes>(value);
    else if (name == "min_shapes") options.min_shapes = nb::cast<tenon::NamedShapes>(value);
    else if (name == "max_shapes") options.max_shapes = nb::cast<tenon::NamedShapes>(value);
    else if (name == "min_gain") options.min_gain = nb::cast<double>(value);
    else if (name == "threads") options.threads = nb::cast<int>(value);
    else if (name == "timing_cache") options.timing_cache = nb::cast<std::string>(value);
    else if (name == "report") options.report = nb::cast<std::string>(value);
    else if (name == "verify") options.verify = nb::cast<bool>(value);
    else if (name == "force") options.force = nb::cast<bool>(value);
    else throw tenon::Error(tenon::ErrorCode::kInvalidArgument, "convert has no option \"" + name + "\"");
  }
  // Ctrl-C is seen between two steps of the conversion.
  std::atomic<bool> interrupted{false};
  options.cancel = &interrupted;
  options.progress = [&](std::string_view, double) {
    const nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) {
      PyErr_Clear();
      interrupted.store(true);
    }
  };
  tenon::ConvertReport report;
  std::string json;
  {
    const nb::gil_scoped_release no_gil;
    report = tenon::convert(input, output, options);
    json = report.to_json();
  }
  return nb::make_tuple(json, tenon_python::nodes_list(report.nodes));
}

}  // namespace

NB_MODULE(_native, module) {
  // Errors cross as (code, message); python/tenon/errors.py has the classes.
  static nb::object make_error;
  module.def("set_error_factory", [](nb::object factory) { make_error = std::move(factory); });
  module.def("clear_error_factory", [] { make_error.reset(); });
  nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
    try {
      std::rethrow_exception(pointer);
    } catch (const tenon::Error& error) {
      // A message may quote a hostile file: bytes that are no UTF-8 are replaced.
      const nb::object message = nb::steal(PyUnicode_DecodeUTF8(error.what(), static_cast<Py_ssize_t>(std::strlen(error.what())), "replace"));
      const nb::object exception = make_error(tenon::error_code_name(error.code()), message);
      PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
    }
  });
  module.def("version", &tenon::version);
  module.def("convert", &convert);
  tenon_python::register_conversion(module);
  nb::class_<tenon::Session>(module, "Session")
      .def("__init__",
           [](tenon::Session* self, const std::string& path, const std::string& signature_key, const std::vector<std::string>& tags,
              const std::vector<std::string>& inputs, const std::vector<std::string>& outputs, bool native, int threads,
              bool allow_build) {
             const tenon::SessionOptions options = session_options(signature_key, tags, inputs, outputs, native, threads, allow_build);
             const nb::gil_scoped_release no_gil;
             new (self) tenon::Session(tenon::Session::open(path, options));
           })
      .def("run", &run)
      .def("profile", &profile)
      .def("signature_keys", &tenon::Session::signature_keys)
      .def("threads", &tenon::Session::threads)
      .def("inputs", [](const tenon::Session& self, const std::string& key) { return describe(self.inputs(key)); })
      .def("outputs", [](const tenon::Session& self, const std::string& key) { return describe(self.outputs(key)); })
      .def("engines", [](const tenon::Session& self) {
        nb::list list;
        for (const tenon::EngineStatus& engine : self.engines()) {
          list.append(nb::make_tuple(engine.name, engine.loaded, engine.rebuilt, engine.reason, engine.calls, engine.native_calls, engine.engine));
        }
        return list;
      });
}
